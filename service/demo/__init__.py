"""The demo: a platform with three shows and a night of problems, played over HTTP as separate clients would."""

"""The written policy: packs of rules, and the pure engine that decides by them."""

from policies.engine import Pack
from policies.explanation import Explanation, RuleRead, StoredDecision, explain
from policies.facts import FactError
from policies.guards import Caps, Guards, GuardsError, Patience, Role, limit, load_guards
from policies.pack import PackError, load_pack
from policies.packs import GUARDS_FILE, Packs, bundled_folder, load_packs, pack_files
from policies.rails import RAILS_FILE, Rails, RailsError, load_rails
from policies.verdict import Escalation, Option, PlannedAction, Question, Verdict, Wait, encode
from policies.vocabulary import ACTIONS, CAUSES, PROBLEMS, SKILLS, SUBJECTS, WAITS

__all__ = [
    "ACTIONS",
    "CAUSES",
    "GUARDS_FILE",
    "PROBLEMS",
    "RAILS_FILE",
    "SKILLS",
    "SUBJECTS",
    "WAITS",
    "Caps",
    "Escalation",
    "Explanation",
    "FactError",
    "Guards",
    "GuardsError",
    "Option",
    "Pack",
    "PackError",
    "Packs",
    "Patience",
    "PlannedAction",
    "Question",
    "Rails",
    "RailsError",
    "Role",
    "RuleRead",
    "StoredDecision",
    "Verdict",
    "Wait",
    "bundled_folder",
    "encode",
    "explain",
    "limit",
    "load_guards",
    "load_pack",
    "load_packs",
    "load_rails",
    "pack_files",
]

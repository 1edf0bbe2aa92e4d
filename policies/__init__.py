"""The written policy: packs of rules, and the pure engine that decides by them."""

from policies.engine import Pack, RuleTried
from policies.explanation import Explanation, RuleRead, StoredDecision, explain
from policies.facts import FactError
from policies.guards import Caps, Guards, GuardsError, Patience, Role, limit, load_guards
from policies.macros import (
    MACROS_FILE,
    MACROS_MAX,
    Filled,
    Macro,
    Macros,
    MacrosError,
    MacroWritten,
    fill,
    fitting,
    load_macros,
    macro_mistakes,
    unfilled,
)
from policies.minimum import below_minimum
from policies.pack import PackError, load_pack
from policies.packs import GUARDS_FILE, Packs, bundled_folder, load_own, load_packs, pack_files, people_pack
from policies.playbooks import PLAYBOOKS_FILE, Playbook, Playbooks, PlaybooksError, load_playbooks
from policies.rails import RAILS_FILE, Rails, RailsError, load_rails
from policies.routing import ROUTING_FILE, Route, Routing, RoutingError, load_routing
from policies.shown import ExampleShown, PackShown, RuleShown, pack_shown
from policies.verdict import Escalation, Option, PlannedAction, Question, Verdict, Wait, encode
from policies.vocabulary import ACTIONS, CAUSES, OLD_SKILLS, PROBLEMS, SKILLS, SUBJECTS, WAITS, skills_like

__all__ = [
    "ACTIONS",
    "CAUSES",
    "GUARDS_FILE",
    "MACROS_FILE",
    "MACROS_MAX",
    "OLD_SKILLS",
    "PLAYBOOKS_FILE",
    "PROBLEMS",
    "RAILS_FILE",
    "ROUTING_FILE",
    "SKILLS",
    "SUBJECTS",
    "WAITS",
    "Caps",
    "Escalation",
    "ExampleShown",
    "Explanation",
    "FactError",
    "Filled",
    "Guards",
    "GuardsError",
    "Macro",
    "MacroWritten",
    "Macros",
    "MacrosError",
    "Option",
    "Pack",
    "PackError",
    "PackShown",
    "Packs",
    "Patience",
    "PlannedAction",
    "Playbook",
    "Playbooks",
    "PlaybooksError",
    "Question",
    "Rails",
    "RailsError",
    "Role",
    "Route",
    "Routing",
    "RoutingError",
    "RuleRead",
    "RuleShown",
    "RuleTried",
    "StoredDecision",
    "Verdict",
    "Wait",
    "below_minimum",
    "bundled_folder",
    "encode",
    "explain",
    "fill",
    "fitting",
    "limit",
    "load_guards",
    "load_macros",
    "load_own",
    "load_pack",
    "load_packs",
    "load_playbooks",
    "load_rails",
    "load_routing",
    "macro_mistakes",
    "pack_files",
    "pack_shown",
    "people_pack",
    "skills_like",
    "unfilled",
]

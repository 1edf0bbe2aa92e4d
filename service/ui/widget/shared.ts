// What the rest stands on of the first script, by name: the build gives it these in place of the modules.
import { Fragment, h } from "preact";
import { pause, Refused } from "./api";
import { elsewhere, notice, title } from "./home";
import { icon, PATHS } from "./icons";
import { button, row, screen, state } from "./parts";

export const shared = { Fragment, h, pause, Refused, elsewhere, notice, title, icon, PATHS, button, row, screen, state };

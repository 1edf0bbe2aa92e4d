// Where the console starts.
import { render } from "preact";
import "./tokens.css";
import "./base.css";
import "./components/components.css";
import "./shell.css";
import { App } from "./app";
import { startTheme } from "./store/theme";

startTheme();
const place = document.getElementById("app");
if (place) render(<App />, place);

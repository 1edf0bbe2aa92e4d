// Marks that only screens after the first tap show.
import { PATHS } from "../icons";

export const MORE = {
  wait: "M12 7v5l3 2M12 3a9 9 0 100 18 9 9 0 000-18",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
};
Object.assign(PATHS, MORE);

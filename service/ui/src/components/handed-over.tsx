// Said once to whoever signed in over another person's page: whose it was, and that nothing of it went out under the new name.
import { useEffect } from "preact/hooks";
import { announce } from "../store/announce";
import { handedOver } from "../store/session";
import { Notice } from "./bits";
import { Button } from "./button";

export function HandedOver() {
  const told = handedOver.value;
  useEffect(() => {
    if (told) announce(`${told.to} is signed in now.`);
  }, [told]);
  if (!told) return null;
  return (
    <div class="handed-over">
      <Notice hue="waiting">
        <div class="row wrap">
          <span>
            {told.to} is signed in now. This page was {told.from}’s: what was not sent yet was not sent, and what {told.from} was typing is kept for{" "}
            {told.from}.
          </span>
          <Button action={() => (handedOver.value = null)}>Close</Button>
        </div>
      </Notice>
    </div>
  );
}

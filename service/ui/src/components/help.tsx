// The help sheet: every key that works now, and the switch that turns single letters off.
import { keysOn, listedKeys, setKeys } from "../keys";
import { Key } from "./button";
import { Dialog } from "./dialog";

export function Help({ onClose }: { onClose: () => void }) {
  const groups = listedKeys();
  groups.set("While you write", [
    { key: "Ctrl ⏎", label: "Send", run: onClose },
    { key: "Escape", label: "Leave the text; it is kept", run: onClose },
  ]);
  return (
    <Dialog title="Keys" onClose={onClose} large>
      <div class="key-groups">
        {[...groups].map(([group, bindings]) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {bindings.map((one) => (
                <div key={one.key}>
                  <dt>
                    <Key name={one.key} />
                    <span class="unseen">{one.key}</span>
                  </dt>
                  <dd>{one.label}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <label class="check">
        <input type="checkbox" checked={keysOn.value} onChange={(event) => setKeys(event.currentTarget.checked)} />
        <span>Single letters act. Turn this off when you speak to your computer; Enter, arrows and ? still work.</span>
      </label>
    </Dialog>
  );
}

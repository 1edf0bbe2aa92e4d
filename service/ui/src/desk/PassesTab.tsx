// The tickets of the order: what each admits to and how it stands, and what can be done with it.
import { Empty, Id, Skeleton, Tag, type Hue } from "../components/bits";
import { Button } from "../components/button";
import { Moment } from "../components/time";
import type { Bundle, CaseShown, NewAction } from "../contract";
import { money, say, spoken } from "../words";

interface Pass {
  id: string;
  position: string;
  status: string;
  issuer: string;
  checkedIn: string | null;
  replaces: boolean;
}

const HUES: Readonly<Record<string, Hue>> = { valid: "settled", pending: "waiting", void: "stopped" };
const STATES: Readonly<Record<string, string>> = { valid: "Valid", pending: "Being made", void: "Void" };
const KINDS: Readonly<Record<string, string>> = { stream: "Stream", venue: "At the venue", merchandise: "Merchandise", other: "Other", fee: "Fee" };

export function PassesTab({ bundle, shown, onAction }: { bundle: Bundle | undefined; shown: CaseShown; onAction: (action: NewAction) => void }) {
  if (shown.order === null) return <Empty title="No order yet">When the customer has proven whose order it is, its tickets are here.</Empty>;
  if (!bundle) return <Skeleton lines={5} />;
  const order = bundle.order ?? {};
  const positions = Array.isArray(order["positions"]) ? (order["positions"] as Record<string, unknown>[]) : [];
  const passes = passesOf(order);
  const currency = typeof order["currency"] === "string" ? order["currency"] : null;
  if (positions.length === 0) return <Empty title="Nothing was bought">The order has no positions.</Empty>;
  return (
    <ul class="passes tab-text">
      {positions.map((line) => {
        const ref = String(line["ref"]);
        const mine = passes.filter((one) => one.position === ref);
        return (
          <li key={ref}>
            <div class="row wrap">
              <bdi class="strong">{String(line["name"])}</bdi>
              <span class="quiet">{KINDS[String(line["kind"])] ?? spoken(String(line["kind"]))}</span>
              {line["canceled"] === true ? <Tag hue="stopped">Cancelled</Tag> : null}
              <span class="push">{typeof line["price"] === "number" ? money(line["price"], currency) : ""}</span>
            </div>
            {mine.map((one) => (
              <div key={one.id} class="pass">
                <div class="row wrap">
                  <Tag hue={HUES[one.status] ?? "none"}>{STATES[one.status] ?? spoken(one.status)}</Tag>
                  <span class="quiet small">
                    made by {one.issuer === "makegood" ? "Makegood" : "the platform"}
                    {one.replaces ? ", replaces an earlier one" : ""}
                    {one.checkedIn ? (
                      <>
                        , scanned <Moment at={one.checkedIn} />
                      </>
                    ) : null}
                  </span>
                  <Id id={one.id} label="ticket" />
                </div>
                {one.status === "valid" ? (
                  <div class="row wrap">
                    {(["reissue_access", "resend_pass", "replace_pass", "void_pass"] as const)
                      .filter((action) => action !== "reissue_access" || line["kind"] === "stream")
                      .map((action) => (
                        <Button key={action} action={() => onAction({ action, pass_id: one.id })}>
                          {say("action", action)}
                        </Button>
                      ))}
                  </div>
                ) : null}
              </div>
            ))}
          </li>
        );
      })}
      {passes.length === 0 ? <li class="quiet small">No ticket has been made for this order.</li> : null}
    </ul>
  );
}

function passesOf(order: Record<string, unknown>): Pass[] {
  const found = Array.isArray(order["passes"]) ? (order["passes"] as Record<string, unknown>[]) : [];
  return found.map((one) => ({
    id: String(one["id"]),
    position: String(one["position"]),
    status: String(one["status"]),
    issuer: String(one["issuer"]),
    checkedIn: typeof one["checked_in_at"] === "string" ? one["checked_in_at"] : null,
    replaces: one["replaces"] === true,
  }));
}

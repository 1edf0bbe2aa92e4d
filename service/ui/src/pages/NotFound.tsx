// An address that leads nowhere.
import { usePage } from "../components/page";

export default function NotFoundPage() {
  usePage("Not found");
  return (
    <div class="page stack">
      <h1>There is nothing at this address</h1>
      <p>
        <a href="/desk">Go to the queue</a>, or <a href="/desk/search">search an order</a>.
      </p>
    </div>
  );
}

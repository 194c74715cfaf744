/** Why data stands still that should not: never to be taken for a quiet market. */
import { usePage } from "./store.ts";

export function Halt() {
  const halted = usePage(({ beat }) => beat?.halted ?? null);
  if (halted === null) return null;
  return (
    <div className="refusal" role="alert" data-testid="halted">
      <b>{halted.reason}:</b> data stands still since {halted.since.slice(11, 19)} UTC
    </div>
  );
}

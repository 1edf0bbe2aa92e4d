// A table whose rows become cards where there is no room for columns. It stays a table for screen readers: its roles are said, since a
// browser forgets them with the table's shape.
import type { ComponentChildren } from "preact";
import "./table-cards.css";

export interface CardColumn<Row> {
  title: string;
  number?: boolean;
  cell: (row: Row) => ComponentChildren;
}

interface Props<Row> {
  caption: string;
  columns: readonly CardColumn<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
}

export function TableCards<Row>({ caption, columns, rows, keyOf }: Props<Row>) {
  return (
    <table class="cards" role="table" aria-label={caption}>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map((one) => (
            <th key={one.title} role="columnheader" scope="col" class={one.number ? "num" : undefined}>
              {one.title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row) => (
          <tr key={keyOf(row)} role="row">
            {columns.map((one, at) => {
              const content = one.cell(row);
              return at === 0 ? (
                <th key={one.title} role="rowheader" scope="row">
                  {content}
                </th>
              ) : (
                <td key={one.title} role="cell" class={one.number ? "num" : undefined} data-head={content === null ? undefined : one.title}>
                  {content}
                </td>
              );
            })}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

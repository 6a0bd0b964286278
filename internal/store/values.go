package store

import "strings"

// Values is the list of an INSERT of so many rows, each with so many
// parameters: "($1, $2), ($3, $4)" as the engine reads it fastest. The
// statement must have no other parameters.
func (t *Tx) Values(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString(t.engine.parameter(i + 1))
	}
	b.WriteByte(')')
	return b.String()
}

// SkipLocked ends a SELECT that picks a row to work on: rows that another
// transaction has picked are passed over, where the engine lets several write.
func (t *Tx) SkipLocked() string { return t.engine.skipLocked() }

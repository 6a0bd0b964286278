package circle_test

import (
	"testing"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// TestRetiredKeysAreKnown: a key that a later list dropped is known with that
// list; one that came back or was revoked is not retired.
func TestRetiredKeysAreKnown(t *testing.T) {
	m, v1, items := four(t)
	old, fresh := m[1].Member.Statement[0], fixture.StatementKey("fresh", key.P256)
	next := func(c *statement.Circle) proof.Logged {
		v := m[0].propose(t, c)
		items = append(items, v, m[2].consent(t, v), m[3].consent(t, v))
		return v
	}
	wants := func(n int, version int64) {
		t.Helper()
		h := evaluate(t, v1, items...)
		got := h.Retired("b.example")
		if len(got.Statement) != n || len(got.Log)+len(got.Witness)+len(got.Mirror) != 0 {
			t.Fatalf("retired: %+v", got)
		}
		if n == 1 && (got.Statement[0].Key != old.Key || got.Statement[0].Version != version || got.Statement[0].Until.IsZero()) {
			t.Errorf("retired: %+v", got.Statement[0])
		}
		if other := h.Retired("nobody.example"); len(other.Statement) != 0 {
			t.Errorf("retired of nobody: %+v", other)
		}
	}
	wants(0, 0)
	m[1].Member.Statement = []statement.MemberKey{old, {Key: string(fresh.Public().PEM())}}
	v2 := next(list(&v1, statement.Rule{}, m...))
	wants(0, 0)
	m[1].Member.Statement = m[1].Member.Statement[1:]
	v3 := next(list(&v2, statement.Rule{}, m...))
	wants(1, 3)
	m[1].Member.Statement = append(m[1].Member.Statement, old)
	v4 := next(list(&v3, statement.Rule{}, m...))
	wants(0, 0)
	m[1].Member.Statement = m[1].Member.Statement[:1]
	v5 := next(list(&v4, statement.Rule{}, m...))
	wants(1, 5)
	c := list(&v5, statement.Rule{}, m...)
	c.Revoked = revoke(old.ID())
	next(c)
	wants(0, 0)
}

package centre

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/ledger"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// listed are the keys of a kind's list that a member has.
func (k keyKind) listed(m *statement.Member) []statement.MemberKey {
	switch k.list {
	case statementKind:
		return m.Statement
	case "log":
		return m.Log
	case "witness":
		return m.Witness
	}
	return m.Mirror
}

// lists finds a key in a member's list.
func (k keyKind) lists(m *statement.Member, text string) (statement.MemberKey, bool) {
	all := k.listed(m)
	i := slices.IndexFunc(all, func(l statement.MemberKey) bool { return l.Key == text })
	if i < 0 {
		return statement.MemberKey{}, false
	}
	return all[i], true
}

// belongs returns the circle's history and the node's entry in the list in force,
// invited or confirmed; nil where it has none.
func (n *Node) belongs(ctx context.Context) (*circle.History, *statement.Member, error) {
	h, err := n.Circle(ctx)
	if errors.Is(err, circle.ErrNone) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	return h, ownEntry(h, n.cfg.origin), nil
}

func ownEntry(h *circle.History, origin string) *statement.Member {
	if m, ok := h.Current.Member(origin); ok && m.State != circle.Left {
		return &m.Member
	}
	return nil
}

// proposedIn returns the number of a proposed list that has a key; 0: none has.
func (k keyKind) proposedIn(h *circle.History, origin, text string) int64 {
	for _, v := range h.Versions {
		if v.Status != circle.Proposed {
			continue
		}
		for i := range v.Members {
			if m := &v.Members[i]; m.Origin == origin {
				if _, ok := k.lists(m, text); ok {
					return v.Circle.Version
				}
			}
		}
	}
	return 0
}

// mayUse refuses a key that the circle in force does not list: whatever it signed
// would be refused by all, and what would list it among that.
func (r *rotation) mayUse(ctx context.Context, k ringKey) error {
	h, m, err := r.n.belongs(ctx)
	if err != nil || m == nil {
		return err
	}
	id, origin := k.id(), r.n.cfg.origin
	listed, ok := r.kind.lists(m, k.text)
	switch version := r.kind.proposedIn(h, origin, k.text); {
	case revoked(h.Current, id):
		return refuseStep("the circle has revoked the prepared key %s: remove %s and prepare another", id, k.file)
	case !ok && version > 0:
		return refuseStep("version %d of the circle, which lists the prepared key %s, is not in force: have its members agree (vitrine circle sign --version %d), then vitrine circle sync %s",
			version, id, version, r.n.dir)
	case !ok:
		return refuseStep("version %d of the circle, which is in force, does not list the prepared key %s: vitrine circle propose --rotate %s=%s %s, and have its members agree",
			h.Current.Version, id, origin, r.n.dir, r.n.dir)
	case !listed.Valid(r.at):
		return refuseStep("the circle lists the prepared key %s from %s until %s, and it is %s", id, when(listed.From), when(listed.Until), when(r.at))
	}
	return nil
}

// mayRetire refuses to retire a key on which something depends, and says what
// could not be found out.
func (r *rotation) mayRetire(ctx context.Context, old ring) (notes []string, err error) {
	h, m, err := r.n.belongs(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range old {
		if m == nil {
			break
		}
		if _, ok := r.kind.lists(m, k.text); ok {
			return nil, refuseStep("version %d of the circle, which is in force, still lists %s: vitrine circle propose --drop %s %s (or --revoke, where it may be in wrong hands), and have its members agree",
				h.Current.Version, k.id(), k.id(), r.n.dir)
		}
	}
	if r.kind.list != "log" {
		return nil, nil
	}
	v, err := tlog.ParseVerifier(r.keys.used()[r.kind.name])
	if err != nil {
		return nil, err
	}
	if _, err := ledger.SignedAlone(filepath.Join(r.n.dir, logDir), v); errors.Is(err, tlog.ErrNotSigned) {
		return nil, refuseStep("the newest checkpoint is not signed by the key in use, %s, yet: serve the node for two minutes, then try again", v)
	} else if err != nil {
		return nil, err
	}
	if err := r.policyHas(v); err != nil {
		return nil, err
	}
	return r.seenBy(ctx, v)
}

// policyHas makes sure that a witness-policy which names keys of the own log names
// the one in use.
func (r *rotation) policyHas(v tlog.Verifier) error {
	k := *r.keys
	k.earlier = nil
	if r.kind.name != "log" {
		return nil
	}
	q, err := loadQuorum(r.n.dir, r.n.cfg, &k)
	if err != nil {
		return refuseStep("%v (%s)", err, v)
	}
	if q != nil {
		q.Close()
	}
	return nil
}

// seenBy asks members and witnesses for what they show of the own log. One that
// knows only a checkpoint of the old key would have nothing that others can
// verify any more.
func (r *rotation) seenBy(ctx context.Context, v tlog.Verifier) (notes []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, stalePatience)
	defer cancel()
	for _, where := range r.n.ownElsewhere(ctx) {
		raw, err := r.n.fetchCheckpoint(ctx, where)
		if err != nil {
			notes = append(notes, fmt.Sprintf("could not ask %s what it shows of this log: %v", where, err))
			continue
		}
		c, err := tlog.ParseCheckpoint(raw)
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s shows what is no checkpoint: %v", where, err))
			continue
		}
		if _, err := v.Verify(c); errors.Is(err, tlog.ErrNotSigned) {
			return nil, refuseStep("%s still shows a checkpoint of this log, of %d entries, that the key in use has not signed: serve the node until it shows a newer one", where, c.Size)
		}
	}
	return notes, nil
}

// afterPrepare says what to do once a key is prepared.
func (r *rotation) afterPrepare() []string {
	h, m, err := r.n.belongs(context.Background())
	use := "then stop the node, vitrine key use " + r.n.dir + " " + r.kind.name + ", and start it"
	if err == nil && m != nil {
		return []string{
			fmt.Sprintf("have the circle %s list it beside the old one: vitrine circle propose --rotate %s=%s %s", h.Current.Name, r.n.cfg.origin, r.n.dir, r.n.dir),
			"when that list is in force, " + use,
		}
	}
	return []string{"tell those who verify: " + r.n.cfg.URL + "/node.json shows it from now on, vitrine policy init writes it", use}
}

// afterUse says what to do once a key is in use.
func (r *rotation) afterUse(old ringKey) []string {
	out := []string{"start the node"}
	if r.kind.list != statementKind {
		out[0] += ": what it signs from now on bears the signature of the old key too"
	}
	drop := "when nobody needs the old key any more"
	if _, m, err := r.n.belongs(context.Background()); err == nil && m != nil {
		out = append(out, fmt.Sprintf("later have the old key taken off the list: vitrine circle propose --drop %s %s", old.id(), r.n.dir))
		drop = "when that list is in force"
	}
	return append(out, drop+", stop the node, vitrine key retire "+r.n.dir+" "+r.kind.name+", and start it")
}

// afterRetire says what to do once a key is retired.
func (r *rotation) afterRetire(stolen bool) []string {
	if stolen {
		return []string{"start the node", "have those who verify take the key out of their policies: nothing that it signed can be told from what a thief signed"}
	}
	return []string{"start the node", "policies go on listing the retired key as long as bundles that it signed are used; vitrine policy init writes it"}
}

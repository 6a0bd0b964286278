package centre

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/statement"
)

// next has the first of some nodes propose the list that follows, and the others
// agree with it; all of all hear of it.
func next(t *testing.T, all, agree []*circleNode, change func(*statement.Circle)) {
	t.Helper()
	h, err := all[0].Circle(within(t))
	check(t, err)
	at, err := all[0].Now(within(t))
	check(t, err)
	prev := h.Current.Statement
	c := &statement.Circle{Name: h.Current.Name, Version: h.Current.Version + 1, Previous: &prev, Published: at, Rule: h.Current.Rule}
	for _, m := range h.Current.Members {
		c.Members = append(c.Members, m.Member)
	}
	change(c)
	d, _, err := all[0].Say(within(t), c.Subjects(), c)
	check(t, err)
	for _, n := range agree {
		_, err := n.SyncCircle(within(t))
		check(t, err)
		_, _, err = n.Say(within(t), []statement.Subject{statement.NewSubject(c.Name, d)},
			&statement.Consent{Circle: c.Name, Version: c.Version, Origin: n.info.Origin, At: at})
		check(t, err)
	}
	for range 2 {
		for _, n := range all {
			_, err := n.SyncCircle(within(t))
			check(t, err)
		}
	}
	for _, n := range all {
		if h, err := n.Circle(within(t)); err != nil || h.Current.Version != c.Version {
			t.Fatalf("%s has version %d, want %d: %v", n.info.Origin, h.Current.Version, c.Version, err)
		}
	}
}

// awaits waits until a node awaits something that is said so.
func awaits(t *testing.T, n *circleNode, what string) {
	t.Helper()
	for ctx := within(t); ; {
		check(t, pause(ctx, 20*time.Millisecond))
		s, err := n.Status(ctx)
		check(t, err)
		if strings.Contains(s.Closed, what) && (s.Closed != "") == (what != "") {
			return
		}
	}
}

// A node whose circle removes it publishes nothing more, until its operator says
// that it needs no witnesses: others cannot take its witnesses away.
func TestARemovedNodePublishesNothing(t *testing.T) {
	t.Parallel()
	all := circleOfFour(t, 77)
	next(t, all, all[1:], func(c *statement.Circle) {
		c.Rule.Witnesses = 2
		for i := range c.Members {
			for _, k := range all[i].info.Witness {
				c.Members[i].Witness = append(c.Members[i].Witness, statement.MemberKey{Key: k})
			}
		}
	})
	n := all[3]
	for ctx := within(t); ; {
		check(t, pause(ctx, 20*time.Millisecond))
		if s, err := n.Status(ctx); err != nil {
			t.Fatal(err)
		} else if len(s.Witnesses) == 3 {
			break
		}
	}
	publish(t, n.Handle, "1.0", "witnessed")

	// A list that changes its address makes it an invited member: it can still agree.
	next(t, all, all[1:3], func(c *statement.Circle) { c.Members[3].Name = "renamed" })
	publish(t, n.Handle, "1.1", "witnessed still")
	if s, err := n.Status(within(t)); err != nil || len(s.Witnesses) != 3 {
		t.Errorf("an invited node has %d witnesses: %v", len(s.Witnesses), err)
	}

	next(t, all, all[1:3], func(c *statement.Circle) { c.Members = c.Members[:3] })
	awaits(t, n, "does not have "+n.info.Origin)
	if code, _, body := get(t, n.addr+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "nobody is known who has to cosign") {
		t.Errorf("/readyz: %d %q", code, body)
	}
	entries := func() int64 {
		s, err := n.Status(within(t))
		check(t, err)
		return s.Ledger.Published
	}
	was := entries()
	if _, err := n.Submit(within(t), sign(t, n.Handle, "2.0").Bytes()); err == nil || entries() != was {
		t.Errorf("a removed node has published: %d entries, were %d: %v", entries(), was, err)
	}
	n.stop()
	if f := finding(Doctor(within(t), n.dir), "publication"); f.OK || f.Remedy == "" {
		t.Errorf("doctor: %+v", f)
	}
	n.addr, n.stop = serve(t, n.dir)
	n.Handle = connect(t, n.dir)
	awaits(t, n, "does not have "+n.info.Origin)
	if entries() != was {
		t.Errorf("started again it has published %d entries, were %d", entries(), was)
	}

	// The operator's word.
	n.stop()
	witnessed(t, n.dir, "quorum none\n")
	n.addr, n.stop = serve(t, n.dir)
	n.Handle = connect(t, n.dir)
	awaits(t, n, "")
	publish(t, n.Handle, "3.0", "alone")
	if entries() <= was {
		t.Error("with a policy that asks for nobody nothing is published")
	}
}

// A node that knows neither circle nor policy any more is shut as well, and opens
// with the list that is brought back.
func TestALostCircleIsNoPermission(t *testing.T) {
	dir := newNode(t, InitOptions{})
	check(t, os.WriteFile(filepath.Join(dir, logDir, "cosigned"), nil, 0o600))
	n, err := Open(within(t), dir, quiet())
	check(t, err)
	if why := n.quorum.shut(); why == nil || !strings.Contains(why.Error(), "circle join") {
		t.Errorf("shut: %v", why)
	}
	check(t, n.meetQuorum())
	if n.quorum.shut() == nil {
		t.Error("it has opened by itself")
	}
	check(t, n.Close(within(t)))
}

package centre

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/gossip"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// circleNode is a served node of a circle.
type circleNode struct {
	dir, addr string
	*Handle
	stop func()
}

// circleOfFour serves a vendor and three centres that are its witnesses, on
// addresses of their own.
func circleOfFour(t *testing.T, net int) []*circleNode {
	t.Helper()
	var all []*circleNode
	var members []statement.Member
	for i, where := range []struct{ country, continent string }{{"DE", "EU"}, {"NL", "EU"}, {"SG", "AS"}, {"US", "NA"}} {
		at := fmt.Sprintf("127.0.%d.%d:%d", net, i+1, 18000+10*net+i)
		n := &circleNode{dir: newNode(t, InitOptions{URL: "http://" + at, Listen: at, Name: at})}
		n.addr, n.stop = serve(t, n.dir)
		n.Handle = connect(t, n.dir)
		m := firstList(t, n.Handle).Members[0]
		m.Country, m.Continent, m.Roles = where.country, where.continent, []string{"centre"}
		members, all = append(members, m), append(all, n)
	}
	v := all[0]
	at, err := v.Now(within(t))
	check(t, err)
	c := &statement.Circle{Name: "Programme", Version: 1, Published: at, Members: members}
	_, _, err = v.Say(within(t), c.Subjects(), c)
	check(t, err)
	root := digest.Digest{}
	for _, n := range all[1:] {
		var f CircleFile
		check(t, v.call(within(t), http.MethodGet, "/circle", nil, &f))
		root = f.Root
		check(t, n.MergeCircle(within(t), f))
		_, _, err := n.Say(within(t), []statement.Subject{statement.NewSubject("Programme", root)},
			&statement.Consent{Circle: "Programme", Version: 1, Origin: n.info.Origin, At: at})
		check(t, err)
		for _, o := range all {
			if o == n {
				continue
			}
			vkeys, err := parseVkeys(o.info.Log[:1])
			check(t, err)
			addToWitness(t, n.Handle, o.info.Origin, vkeys...)
		}
	}
	for _, n := range all {
		_, err := n.SyncCircle(within(t))
		check(t, err)
	}
	return all
}

// cosign has a node's witness cosign a checkpoint, and returns what it answers.
func (n *circleNode) cosign(t *testing.T, old int64, proof []tlog.Hash, c *tlog.SignedCheckpoint) int {
	t.Helper()
	q := tlog.AddCheckpoint{Old: old, Proof: proof, Checkpoint: c}
	res, err := http.Post(n.addr+"/witness/add-checkpoint", "text/plain", bytes.NewReader(q.Marshal()))
	check(t, err)
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	check(t, err)
	return res.StatusCode
}

// newest is a node's checkpoint, and forged one of the same size over another
// tree, signed with the log's key.
func (n *circleNode) newest(t *testing.T) (honest, forged *tlog.SignedCheckpoint) {
	t.Helper()
	_, _, body := get(t, n.addr+"/checkpoint")
	honest, err := tlog.ParseCheckpoint([]byte(body))
	check(t, err)
	s, err := key.ReadPrivateFile(filepath.Join(n.dir, logKeyFile))
	check(t, err)
	signer, err := tlog.NewSigner(honest.Origin, tlog.Ed25519, s, func() (time.Time, error) { return time.Now(), nil })
	check(t, err)
	c := honest.Checkpoint
	c.Root = tlog.LeafHash([]byte("another history"))
	sig, err := signer.SignCheckpoint(c)
	check(t, err)
	return honest, &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}}
}

// await polls until f is content.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for ctx := within(t); !f(); {
		if pause(ctx, heldPause/2) != nil {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (n *circleNode) open(t *testing.T) []Fork {
	t.Helper()
	s, err := n.Status(within(t))
	check(t, err)
	return s.Forks
}

// TestForkReachesTheCircle: a vendor shows a second history to one centre's
// witness. All members have the evidence, none cosigns, until each operator has
// accepted it in a statement; what was accepted holds after the database was lost.
func TestForkReachesTheCircle(t *testing.T) {
	all := circleOfFour(t, 31)
	v := all[0]
	honest, forged := v.newest(t)
	for i, n := range all[1:] {
		if code := n.cosign(t, 0, nil, honest); code != http.StatusOK {
			t.Fatalf("centre %d answers %d to the honest checkpoint", i, code)
		}
		if open := n.open(t); len(open) != 0 {
			t.Fatalf("centre %d has evidence before there is any: %+v", i, open)
		}
	}
	if code := all[1].cosign(t, honest.Size, nil, forged); code == http.StatusOK {
		t.Fatal("a second history is cosigned")
	}
	shown := time.Now()
	f, err := tlog.NewSizeFork(honest, forged)
	check(t, err)
	d := digest.Digest(f.Digest())
	await(t, "all have the evidence", func() bool {
		for _, n := range all {
			if open := n.open(t); len(open) != 1 || open[0].Digest != d {
				return false
			}
		}
		return true
	})
	t.Logf("all four had the evidence after %v", time.Since(shown).Round(time.Millisecond))
	vkeys, err := parseVkeys(v.info.Log[:1])
	check(t, err)
	for i, n := range all {
		code, _, body := get(t, n.addr+"/forks/"+d.String())
		g, err := tlog.ParseFork([]byte(body))
		if code != http.StatusOK || err != nil || g.Verify(vkeys...) != nil {
			t.Errorf("node %d serves %d: %v", i, code, err)
		}
	}
	for i, n := range all[1:] {
		await(t, "the log is held", func() bool {
			a, err := n.Witness(within(t), WitnessCall{Do: "show", Log: WitnessLog{Origin: v.info.Origin}})
			check(t, err)
			return a.Log.Forked || a.Log.Paused
		})
		if code := n.cosign(t, honest.Size, nil, honest); code == http.StatusOK {
			t.Errorf("centre %d cosigns a log that has forked", i)
		}
		if _, err := n.Witness(within(t), WitnessCall{Do: "resume", Reason: "please", Log: WitnessLog{Origin: v.info.Origin}}); !errors.Is(err, ErrForked) {
			t.Errorf("centre %d resumes without a statement: %v", i, err)
		}
	}
	acceptOnce(t, all[2], d, v.info.Origin)
	if code := all[2].cosign(t, honest.Size, nil, honest); code != http.StatusOK {
		t.Errorf("after accepting, the centre answers %d", code)
	}
	if code := all[3].cosign(t, honest.Size, nil, honest); code == http.StatusOK {
		t.Error("one operator has accepted for another")
	}
	afterALoss(t, all[2], d)
}

func acceptOnce(t *testing.T, n *circleNode, d digest.Digest, origin string) {
	t.Helper()
	if _, _, err := n.AcceptFork(within(t), digest.Of(nil), "x"); !errors.Is(err, gossip.ErrNone) {
		t.Errorf("unknown evidence: %v", err)
	}
	if _, _, err := n.AcceptFork(within(t), d, ""); err == nil {
		t.Error("accepted without a reason")
	}
	at, err := n.Now(within(t))
	check(t, err)
	other := &statement.ForkAccepted{Log: "other.example", Reason: "x", At: at}
	if _, _, err := n.Say(within(t), other.Subjects(d), other); !errors.Is(err, ErrInvalid) {
		t.Errorf("evidence of another log: %v", err)
	}
	_, index, err := n.AcceptFork(within(t), d, "two machines had the key")
	check(t, err)
	if len(n.open(t)) != 0 {
		t.Error("still open")
	}
	code, _, body := get(t, fmt.Sprintf("%s/log/%d", n.addr, index))
	if code != http.StatusOK || !strings.Contains(body, "fork-accepted/v1") {
		t.Errorf("the entry is not shown: %d", code)
	}
	if _, _, err := n.AcceptFork(within(t), d, "again"); !errors.Is(err, ErrForbidden) {
		t.Errorf("accepted twice: %v", err)
	}
	all, err := n.Forks(within(t))
	if err != nil || len(all) != 1 || all[0].Reason != "two machines had the key" || all[0].Origin != origin {
		t.Errorf("%+v, %v", all, err)
	}
}

// afterALoss: the node notes again what its log says it has accepted.
func afterALoss(t *testing.T, n *circleNode, d digest.Digest) {
	t.Helper()
	n.stop()
	m, err := Open(within(t), n.dir, quiet())
	check(t, err)
	defer func() { check(t, m.Close(within(t))) }()
	text, err := m.gossip.Evidence(within(t), d)
	check(t, err)
	check(t, m.db.Update(within(t), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM fork_evidence`)
		return err
	}))
	f, err := tlog.ParseFork(text)
	check(t, err)
	fresh, err := m.gossip.Keep(within(t), f)
	if err != nil || !fresh {
		t.Fatalf("%t, %v", fresh, err)
	}
	await(t, "the acceptance is noted again", func() bool {
		open, err := m.openForks(context.Background())
		check(t, err)
		return len(open) == 0
	})
}

// TestForkIsAcceptedOnBothEngines: evidence that an operator brings is kept,
// accepted once, and its acceptance found again in the log.
func TestForkIsAcceptedOnBothEngines(t *testing.T) {
	eachEngine(t, func(t *testing.T, dir string) {
		h := connect(t, dir)
		s, err := tlog.NewSigner("other.example", tlog.Ed25519, ed25519.NewKeyFromSeed(make([]byte, 32)), nil)
		check(t, err)
		addToWitness(t, h, "other.example", s.Verifier())
		var both [2]*tlog.SignedCheckpoint
		for i := range both {
			c := tlog.Checkpoint{Origin: "other.example", Size: 5, Root: tlog.LeafHash([]byte{byte(i)})}
			sig, err := s.SignCheckpoint(c)
			check(t, err)
			both[i] = &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}}
		}
		f, err := tlog.NewSizeFork(both[0], both[1])
		check(t, err)
		k, err := h.KeepFork(within(t), f.Marshal())
		check(t, err)
		check(t, h.local().settleForks(within(t)))
		if a, err := h.Witness(within(t), WitnessCall{Do: "show", Log: WitnessLog{Origin: "other.example"}}); err != nil || !a.Log.Forked {
			t.Errorf("the log is not held: %+v, %v", a, err)
		}
		_, _, err = h.AcceptFork(within(t), k.Digest, "explained")
		check(t, err)
		check(t, h.local().settleForks(within(t)))
		if a, err := h.Witness(within(t), WitnessCall{Do: "show", Log: WitnessLog{Origin: "other.example"}}); err != nil || a.Log.Forked || a.Log.Paused {
			t.Errorf("the log is held still: %+v, %v", a, err)
		}
		check(t, h.local().db.Update(within(t), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE fork_evidence SET accepted = NULL, reason = ''`)
			return err
		}))
		check(t, h.local().settleForks(within(t)))
		if open, err := h.local().openForks(within(t)); err != nil || len(open) != 0 {
			t.Errorf("what the log says is forgotten: %v, %v", open, err)
		}
	})
}

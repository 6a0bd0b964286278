//go:build linux

package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// moreGoroutines is what a node may have more than before the faults, when it is
// idle again: connections that are kept have some.
const moreGoroutines = 60

// converge waits until every node is ready and every mirror has every log. A
// minute is what a circle is promised to need.
func (w *circleWorld) converge(t *testing.T) {
	t.Helper()
	start := time.Now()
	for _, n := range w.nodes {
		w.until(t, n.name+" is ready", func() error { _, err := w.get(n.url() + "/readyz"); return err })
	}
	for _, o := range w.nodes {
		for _, n := range w.nodes {
			if n == o {
				continue
			}
			w.until(t, fmt.Sprintf("%s mirrors %s", n.name, o.name), func() error {
				p, err := w.published(o)
				if err != nil {
					return err
				}
				m, err := w.mirrored(n, o)
				if err != nil {
					return err
				}
				if m.Checkpoint.Size != p.Size || m.Root != p.Root {
					return fmt.Errorf("published %v, mirrored %v", p.Checkpoint, m.Checkpoint)
				}
				return nil
			})
		}
	}
	t.Logf("all healed and caught up after %v", time.Since(start).Round(time.Millisecond))
}

// judge checks what a circle promises, after everything is healed:
//
//   - every acknowledged statement stands where it was acknowledged, in a log
//     that is clean on its disk, with a proof that verifies under a published
//     checkpoint; and in every copy of it;
//   - no log has shown two roots for one size, in no checkpoint that anybody
//     published, cosigned or mirrored, and each of these is one of the tree that
//     there is in the end;
//   - no published checkpoint lacked the cosignatures of two others (watch);
//   - nobody has evidence against anybody.
func (w *circleWorld) judge(t *testing.T, before map[string]int) {
	t.Helper()
	for _, n := range w.nodes {
		c, err := w.published(n)
		if err != nil {
			t.Error(err)
			continue
		}
		leaves, err := w.leaves(n, c.Size)
		if err != nil {
			t.Error(err)
			continue
		}
		w.judgeTree(t, n, c, leaves)
		for _, a := range w.acked {
			if a.node == n {
				if err := w.judgeAck(a, leaves); err != nil {
					t.Errorf("LOST: %s was acknowledged %s at %d: %v", n.name, a.Statement, a.Index, err)
				}
			}
		}
	}
	w.judgeEvidence(t)
	w.judgeGoroutines(t, before)
	w.judgeDisks(t)
}

// judgeTree compares all that was seen of a log with its entries.
func (w *circleWorld) judgeTree(t *testing.T, n *circleNode, c *tlog.SignedCheckpoint, leaves [][]byte) {
	t.Helper()
	f, err := newForest(leaves)
	if err != nil {
		t.Error(err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for size, root := range w.seen[n.origin()] {
		if size > c.Size {
			t.Errorf("%s publishes %d entries, and %d were seen", n.name, c.Size, size)
		} else if is, err := f.root(size); err != nil || is != root {
			t.Errorf("%s: a checkpoint of %d entries was seen with the root %v, and the tree has %v, %v", n.name, size, root, is, err)
		}
	}
	t.Logf("%s: %d entries, checkpoints of %d sizes seen", n.name, c.Size, len(w.seen[n.origin()]))
}

// judgeAck checks that a statement stands where it was acknowledged.
func (w *circleWorld) judgeAck(a ack, leaves [][]byte) error {
	n := a.node
	raw, err := w.patient(n.url() + "/statements/" + a.Statement)
	if err != nil {
		return err
	}
	e, err := statement.Parse(raw)
	if err != nil {
		return err
	}
	if e.Digest().String() != a.Statement && e.Digest() != digest.Of(raw) {
		return fmt.Errorf("another statement is there: %s", e.Digest())
	}
	k, err := key.ParsePublic([]byte(n.about.Statement[0]))
	if err != nil {
		return err
	}
	leaf, err := e.Leaf(k)
	if err != nil {
		return err
	}
	if a.Index >= int64(len(leaves)) || !bytes.Equal(leaves[a.Index], leaf) {
		return fmt.Errorf("the entry there is not its own")
	}
	raw, err = n.run(time.Minute, "log", "proof", n.dir, strconv.FormatInt(a.Index, 10))
	if err != nil {
		return err
	}
	p, err := tlog.ParseProof(raw)
	if err != nil {
		return err
	}
	if p.Index != a.Index {
		return fmt.Errorf("the proof is of entry %d", p.Index)
	}
	if err := p.VerifyInclusion(tlog.LeafHash(leaf)); err != nil {
		return err
	}
	if _, err := n.log.Verify(p.Checkpoint); err != nil {
		return err
	}
	return w.cosigned(n, p.Checkpoint)
}

var forkDigest = regexp.MustCompile(`[0-9a-f]{64}`)

// judgeEvidence asks every node for evidence against every log: none of them
// lied, so there must be none.
func (w *circleWorld) judgeEvidence(t *testing.T) {
	t.Helper()
	for _, n := range w.nodes {
		for _, o := range w.nodes {
			if o == n {
				continue
			}
			out, err := n.run(time.Minute, "witness", "evidence", "--json", n.dir, o.origin())
			var list []json.RawMessage
			if err == nil {
				err = json.Unmarshal(out, &list)
			}
			if err != nil || len(list) > 0 {
				t.Errorf("%s has evidence against %s: %v\n%s", n.name, o.name, err, out)
			}
		}
		r, err := w.client.Get(n.url() + "/forks/")
		if err != nil {
			t.Error(err)
			continue
		}
		var b bytes.Buffer
		_, err = b.ReadFrom(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK || forkDigest.Match(b.Bytes()) {
			t.Errorf("%s keeps fork evidence, or does not say: %s, %v\n%s", n.name, r.Status, err, &b)
		}
	}
}

// judgeDisks stops the nodes and reads all of their logs and copies again.
func (w *circleWorld) judgeDisks(t *testing.T) {
	t.Helper()
	for _, n := range w.nodes {
		for _, o := range w.nodes {
			if o == n {
				continue
			}
			if _, err := n.run(time.Minute, "mirror", "check", n.dir, o.origin()); err != nil {
				t.Error(err)
			}
		}
		n.stop()
		if err := (&room{bin: n.bin, dir: n.dir}).checked(n.dir); err != nil {
			t.Errorf("%s: %v", n.name, err)
		}
		for _, odd := range n.odd {
			t.Logf("%s ended by itself: %s", n.name, odd)
			if strings.Contains(odd, "panic") || strings.Contains(odd, "goroutine ") {
				t.Errorf("%s panicked", n.name)
			}
		}
	}
}

// checked runs `vitrine log check` on a node.
func (r *room) checked(dir string) error {
	code, out, errs, err := r.run("log", "check", "--json", dir)
	if err != nil || code != 0 {
		return fmt.Errorf("log check: exit %d, %w\n%s%s", code, err, out, errs)
	}
	var report struct{ Faults []json.RawMessage }
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Faults) > 0 {
		return fmt.Errorf("log check: %w\n%s", err, out)
	}
	return nil
}

// metric reads one of a node's metrics.
func (w *circleWorld) metric(n *circleNode, name string) (float64, error) {
	b, err := w.get("http://" + wireAddr(n.port) + ":9464/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", n.name, name)
}

// settled is how long connections may live that the other end has left without
// a word, as packets that were lost had no answer: all have an idle time below it.
const settled = 4 * time.Minute

// judgeGoroutines waits until each node works with about as many as before: those
// of dead connections end in time, those that leak stay.
func (w *circleWorld) judgeGoroutines(t *testing.T, before map[string]int) {
	t.Helper()
	for end := time.Now().Add(settled); ; time.Sleep(5 * time.Second) {
		after, many := w.goroutines(t), ""
		for _, n := range w.nodes {
			if after[n.name] > before[n.name]+moreGoroutines {
				many += fmt.Sprintf("%s has %d goroutines, and had %d before the faults\n", n.name, after[n.name], before[n.name])
			}
		}
		if many == "" {
			return
		}
		if time.Now().After(end) {
			t.Error(many)
			return
		}
	}
}

// goroutines counts those of each node, by its name.
func (w *circleWorld) goroutines(t *testing.T) map[string]int {
	t.Helper()
	m := map[string]int{}
	for _, n := range w.nodes {
		g, err := w.metric(n, "go_goroutines")
		if err != nil {
			t.Error(err)
		}
		rss, err := w.metric(n, "process_resident_memory_bytes")
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s: %.0f goroutines, %.0f MiB resident", n.name, g, rss/(1<<20))
		m[n.name] = int(g)
	}
	return m
}

// report prints what happened.
func (w *circleWorld) report(t *testing.T) {
	t.Helper()
	failed := 0
	for why, n := range w.failed {
		failed += n
		t.Logf("not published, %d times: %s", n, why)
	}
	starts := 0
	for _, n := range w.nodes {
		starts += n.starts
		w.journal(t, n)
	}
	t.Logf("%d publications acknowledged, %d tries failed, the longest took %v and %d tries (%s, %s); %d starts of nodes; %d checkpoints looked at; %d of %d packets lost",
		len(w.acked), failed, w.slow.took.Round(time.Millisecond), w.slow.tries, w.slow.node.name, w.slow.during, starts, w.looks, w.wire.lost, w.wire.sent)
	if len(w.acked) < 2*len(w.nodes) {
		t.Error("hardly anything was published")
	}
}

var journalMessage = regexp.MustCompile(`level=(WARN|ERROR) msg=("[^"]*"|\S+)`)

// journal prints what a node warned of most.
func (w *circleWorld) journal(t *testing.T, n *circleNode) {
	t.Helper()
	f, err := os.Open(n.dir + ".log")
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	count, lines := map[string]int{}, 0
	for s := bufio.NewScanner(f); s.Scan(); lines++ {
		if m := journalMessage.FindString(s.Text()); m != "" {
			count[m]++
		}
		if strings.Contains(s.Text(), "panic:") || strings.Contains(s.Text(), "DATA RACE") {
			t.Errorf("%s: %s", n.name, s.Text())
		}
	}
	var all []string
	for m, c := range count {
		all = append(all, fmt.Sprintf("%5d %s", c, m))
	}
	slices.Sort(all)
	slices.Reverse(all)
	t.Logf("%s wrote %d lines:\n%s", n.name, lines, strings.Join(all, "\n"))
}

//go:build linux

package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vitrine.example/tlog"
)

// circleNode is a member: a namespace, a directory, and a process that is
// started again whenever it ends.
type circleNode struct {
	name, bin, dir string
	port           int
	about          nodeJSON
	log            tlog.Verifier
	witness        []tlog.Verifier
	mirror         []tlog.Verifier

	mu      sync.Mutex
	process *os.Process
	away    time.Duration // before the next start
	killed  bool
	stopped bool
	starts  int
	odd     []string // endings that nobody asked for
	ended   chan struct{}
}

// nodeJSON is what the test reads of /node.json.
type nodeJSON struct{ Log, Statement, Witness, Mirror []string }

func (n *circleNode) origin() string { return n.name + ".example" }
func (n *circleNode) url() string    { return "http://" + wireAddr(n.port) + ":8080" }

// in makes a command in the namespace of the node. It dies with the test.
func (n *circleNode) in(args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", n.name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs vitrine there, for at most the time given.
func (n *circleNode) run(most time.Duration, args ...string) (stdout []byte, err error) {
	runtime.LockOSThread() // Pdeathsig is about the thread that started it
	defer runtime.UnlockOSThread()
	cmd := n.in(append([]string{n.bin}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := time.AfterFunc(most, func() { _ = cmd.Process.Kill() })
	defer t.Stop()
	if err := cmd.Wait(); err != nil {
		return out.Bytes(), fmt.Errorf("%s: vitrine %s: %w\n%s%s", n.name, strings.Join(args, " "), err, &out, &errs)
	}
	return out.Bytes(), nil
}

// keep keeps the node running until it is stopped.
func (n *circleNode) keep() {
	defer close(n.ended)
	runtime.LockOSThread()
	for {
		n.mu.Lock()
		away, stopped := n.away, n.stopped
		n.away, n.killed = 0, false
		n.mu.Unlock()
		if stopped {
			return
		}
		time.Sleep(away)
		if err := n.once(); err != nil {
			n.mu.Lock()
			if !n.killed {
				n.odd = append(n.odd, err.Error())
				n.away = 200 * time.Millisecond
			}
			n.mu.Unlock()
		}
	}
}

func (n *circleNode) once() error {
	f, err := os.OpenFile(n.dir+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := n.in(n.bin, "serve", n.dir)
	cmd.Stdout, cmd.Stderr = f, f
	n.mu.Lock()
	if n.stopped {
		n.mu.Unlock()
		return nil
	}
	err = cmd.Start()
	n.process, n.starts = cmd.Process, n.starts+1
	n.mu.Unlock()
	if err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, tail(f.Name()))
	}
	return nil
}

// tail is the end of a file.
func tail(path string) string {
	b, _ := os.ReadFile(path)
	return string(b[max(0, len(b)-300):])
}

// kill ends the node at once, and starts it again after a while.
func (n *circleNode) kill(away time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away, n.killed = away, true
	if n.process != nil {
		_ = n.process.Kill()
	}
}

func (n *circleNode) signal(s os.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		_ = n.process.Signal(s)
	}
}

// stop ends the node as an operator does.
func (n *circleNode) stop() {
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	n.signal(syscall.SIGTERM)
	<-n.ended
}

// circleWorld is the circle, and all that was seen of it.
type circleWorld struct {
	dir    string
	nodes  []*circleNode
	wire   *wire
	client *http.Client
	began  time.Time

	mu     sync.Mutex
	t      *testing.T
	recent string // fault
	acked  []ack
	failed map[string]int // publications, by why
	slow   ack
	seen   map[string]map[int64]tlog.Hash // roots by origin and size
	looks  int
}

// ack is a publication that succeeded.
type ack struct {
	node      *circleNode
	Statement string
	Index     int64
	took      time.Duration
	tries     int
	during    string
}

func newCircleWorld(t *testing.T, bin string, seed uint64) *circleWorld {
	t.Helper()
	must := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	w := &circleWorld{
		t: t, dir: t.TempDir(), began: time.Now(), failed: map[string]int{}, seen: map[string]map[int64]tlog.Hash{},
		client: &http.Client{Timeout: 5 * time.Second},
	}
	must("mount", "-t", "tmpfs", "none", "/run")
	must("mkdir", "/run/netns")
	names := []string{"vendor", "europe", "asia", "america"}
	var err error
	if w.wire, err = newWire(len(names)+1, seed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.wire.close)
	var hosts []string
	for i, name := range names {
		hosts = append(hosts, fmt.Sprintf("%q", fmt.Sprintf("%s.example=%s:8080", name, wireAddr(i))))
	}
	must("ip", "link", "set", "lo", "up")
	must("ip", "addr", "add", wireAddr(len(names))+"/24", "dev", fmt.Sprintf("vt%d", len(names)))
	must("ip", "link", "set", fmt.Sprintf("vt%d", len(names)), "up")
	for i, name := range names {
		dev := fmt.Sprintf("vt%d", i)
		must("ip", "netns", "add", name)
		must("ip", "link", "set", dev, "netns", name)
		must("ip", "-n", name, "link", "set", "lo", "up")
		must("ip", "-n", name, "addr", "add", wireAddr(i)+"/24", "dev", dev)
		must("ip", "-n", name, "link", "set", dev, "up")
		n := &circleNode{name: name, bin: bin, dir: filepath.Join(w.dir, name), port: i, ended: make(chan struct{})}
		w.nodes = append(w.nodes, n)
		must(bin, "init", n.dir, "--url", "http://"+n.origin(), "--listen", wireAddr(i)+":8080")
		more := fmt.Sprintf("hosts = [%s]\nmetrics-listen = \"%s:9464\"\n", strings.Join(hosts, ", "), wireAddr(i))
		appendTo(t, filepath.Join(n.dir, "vitrine.toml"), more)
		must("mkdir", n.dir+".files")
	}
	w.wire.carry()
	return w
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// found starts the nodes and makes them a circle.
func (w *circleWorld) found(t *testing.T) {
	t.Helper()
	must := func(n *circleNode, args ...string) {
		t.Helper()
		if _, err := n.run(time.Minute, args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range w.nodes {
		go n.keep()
		t.Cleanup(n.stop)
	}
	v := w.nodes[0]
	propose := []string{"circle", "propose", "--name", "Programme", "--witnesses", "2", "--self", "country=DE,roles=vendor", "--yes"}
	for _, n := range w.nodes {
		w.until(t, n.name+" serves", func() error { return w.describe(n) })
		if n != v {
			propose = append(propose, "--member", "file="+w.save(t, n, "node.json")+",country=NL,roles=centre")
		}
	}
	must(v, append(propose, v.dir)...)
	for _, n := range w.nodes[1:] {
		must(n, "circle", "join", "--from", w.save(t, v, "circle.json"), "--yes", n.dir)
	}
	for _, n := range w.nodes {
		must(n, "circle", "sync", n.dir)
	}
	for _, n := range w.nodes {
		w.until(t, n.name+" is cosigned", func() error { _, err := w.published(n); return err })
	}
}

// save fetches a file of a node: plain http is trusted on loopback alone.
func (w *circleWorld) save(t *testing.T, n *circleNode, name string) string {
	t.Helper()
	b, err := w.get(n.url() + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	path := n.dir + "." + name
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// until waits until f has no objection.
func (w *circleWorld) until(t *testing.T, what string, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("within a minute it did not come true that %s: %v", what, err)
}

// describe reads the keys of a node.
func (w *circleWorld) describe(n *circleNode) error {
	b, err := w.get(n.url() + "/node.json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &n.about); err != nil {
		return err
	}
	if n.log, err = tlog.ParseVerifier(n.about.Log[0]); err != nil {
		return err
	}
	if n.witness, err = verifiers(n.about.Witness); err == nil {
		n.mirror, err = verifiers(n.about.Mirror)
	}
	return err
}

func verifiers(list []string) (out []tlog.Verifier, err error) {
	for _, s := range list {
		v, err := tlog.ParseVerifier(s)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// load publishes on every node until ctx is done, and once more after that:
// done is closed when that has succeeded everywhere.
func (w *circleWorld) load(ctx context.Context) (done chan struct{}) {
	done = make(chan struct{})
	var wg sync.WaitGroup
	for _, n := range w.nodes {
		wg.Go(func() {
			for i, last := 1, false; !last; i++ {
				last = ctx.Err() != nil
				w.publish(n, i)
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	return done
}

// publish publishes a release, again and again until it is acknowledged.
func (w *circleWorld) publish(n *circleNode, number int) {
	file := filepath.Join(n.dir+".files", fmt.Sprint("app", number))
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s %d\n", n.name, number), 0o600); err != nil {
		w.errorf("%v", err)
		return
	}
	start := time.Now()
	for try := 1; ; try++ {
		out, err := n.run(3*time.Minute, "release", "publish", "--json", "--product", fmt.Sprintf("pkg:generic/%s@%d", n.name, number), "--artifact", file, n.dir)
		a := ack{node: n, took: time.Since(start), tries: try, Index: -1}
		if err == nil {
			err = json.Unmarshal(out, &a)
		}
		if err == nil && a.Index >= 0 && a.Statement != "" {
			w.ack(a)
			return
		}
		w.fail(n, err)
		if time.Since(start) > 5*time.Minute {
			w.errorf("%s could not publish for five minutes: %v", n.name, err)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

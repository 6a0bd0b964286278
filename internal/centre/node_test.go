package centre

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/clock"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/release"
	"vitrine.example/internal/sandbox"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// serveEnv makes the test program serve a node instead of testing.
const serveEnv = "VITRINE_TEST_SERVE"

func TestMain(m *testing.M) {
	sandbox.Enter() // what is rebuilt runs in the own binary
	rotateAndDie()
	dir := os.Getenv(serveEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	n, err := Open(ctx, dir, serveLog())
	if err == nil {
		err = n.Serve(ctx, func(addr string) { fmt.Println(addr) })
		closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		err = errors.Join(err, n.Close(closing))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process is a node served by another process.
type process struct {
	cmd  *exec.Cmd
	addr string
}

func startProcess(t testing.TB, dir string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), serveEnv+"="+dir)
	out, err := p.cmd.StdoutPipe()
	check(t, err)
	p.cmd.Stderr = io.Discard
	check(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() }) // has ended by then, mostly
	p.addr, err = bufio.NewReader(out).ReadString('\n')
	check(t, err)
	p.addr = strings.TrimSpace(p.addr)
	return p
}

// end sends a signal and waits.
func (p *process) end(t testing.TB, s os.Signal) error {
	t.Helper()
	check(t, p.cmd.Process.Signal(s))
	return p.cmd.Wait()
}

// sign makes the envelope of a release with the node's own key.
func sign(t testing.TB, h *Handle, version string) *statement.Envelope {
	t.Helper()
	d := digest.Of([]byte(version))
	s, err := statement.New([]statement.Subject{{Name: "app", Digest: map[string]string{"sha256": d.String()}}}, &statement.Release{
		Product: "pkg:generic/app", Version: version, Published: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		Artifacts: []statement.Artifact{{Name: "app", Size: 1, SHA256: d}},
	})
	check(t, err)
	env, err := statement.Sign(s, h.keys.statement)
	check(t, err)
	return env
}

// TestAcrossProcesses: a process serves, others go through it, a second server
// is refused with the name of the first, and SIGTERM ends it in order.
func TestAcrossProcesses(t *testing.T) {
	dir := newNode(t, InitOptions{})
	p := startProcess(t, dir)
	h := connect(t, dir)
	one := publish(t, h, "1.0.0", "one")
	if _, err := Open(within(t), dir, quiet()); !errors.Is(err, ledger.ErrHeld) || !strings.Contains(err.Error(), fmt.Sprint(p.cmd.Process.Pid)) {
		t.Errorf("a second server: %v, want one that names process %d", err, p.cmd.Process.Pid)
	}
	if code, _, _ := get(t, p.addr+"/release/"+one.Envelope.Digest().String()); code != 200 {
		t.Errorf("release page: %d", code)
	}
	if err := p.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, socketFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	// The same handle finds the next holder, be it itself.
	if r, err := h.Submit(within(t), one.Envelope.Bytes()); err != nil || r.Index != one.Index || !r.Duplicate {
		t.Errorf("again: %+v, %v", r, err)
	}
}

// TestKilled: after SIGKILL in the middle of work nothing that was acknowledged
// is lost, what was taken is finished, and the next process starts by itself.
func TestKilled(t *testing.T) {
	dir := newNode(t, InitOptions{})
	p := startProcess(t, dir)
	h := connect(t, dir)
	var mu sync.Mutex
	acknowledged := map[string]int64{}
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			for j := 0; ; j++ {
				env := sign(t, h, fmt.Sprintf("%d.%d", i, j))
				var r release.Receipt
				if err := h.call(context.Background(), http.MethodPost, "/submit", env.Bytes(), &r); err != nil {
					return // killed
				}
				mu.Lock()
				acknowledged[string(env.Bytes())] = r.Index
				n := len(acknowledged)
				mu.Unlock()
				if n == 12 {
					_ = p.cmd.Process.Kill()
				}
			}
		})
	}
	work.Wait()
	_ = p.cmd.Wait()
	n, err := Open(within(t), dir, quiet())
	check(t, err)
	for raw, index := range acknowledged {
		r, err := n.Submit(within(t), []byte(raw))
		if err != nil || r.Index != index || !r.Duplicate {
			t.Errorf("acknowledged as %d, now %+v, %v", index, r, err)
		}
	}
	for start := time.Now(); ; {
		pending, err := n.projection.Pending(within(t), 100)
		check(t, err)
		if len(pending) == 0 {
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatalf("%d submissions are still pending", len(pending))
		}
		time.Sleep(20 * time.Millisecond)
	}
	check(t, n.Close(within(t)))
	r, err := CheckLog(within(t), dir, nil)
	if err != nil || len(r.Faults) > 0 || r.Size < 12 {
		t.Errorf("log check: %+v, %v", r, err)
	}
}

// TestInterruptedSubmission: a claim whose statement did not reach the log is
// carried through when the node is opened.
func TestInterruptedSubmission(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	env := sign(t, h, "1.0.0")
	leaf, err := env.Leaf(h.keys.statement.Public())
	check(t, err)
	n := h.local()
	_, err = n.content.Put(t.Context(), "public", strings.NewReader(string(env.Bytes())), statement.MaxSize)
	check(t, err)
	check(t, n.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(release.Admit(ctx, tx, env), n.projection.Submitted(ctx, tx, tlog.LeafHash(leaf), env.Digest()))
	}))
	check(t, h.Close(within(t)))

	n, err = Open(within(t), dir, quiet())
	check(t, err)
	check(t, n.projection.Await(within(t), 0))
	if r, err := n.projection.Release(t.Context(), env.Digest()); err != nil || r.Index != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	check(t, n.Close(within(t)))
}

// TestRefusedStatements: the errors are the same through the socket, and
// nothing that was refused is in the log or on the pages.
func TestRefusedStatements(t *testing.T) {
	dir := newNode(t, InitOptions{})
	other := connect(t, newNode(t, InitOptions{}))
	stranger := sign(t, other, "1.0.0")
	addr, _ := serve(t, dir)
	remote := connect(t, dir)
	first := sign(t, remote, "1.0.0")
	_, err := remote.Submit(within(t), first.Bytes())
	check(t, err)
	second := sign(t, remote, "1.0.0") // ECDSA: another signature, another statement
	forged := []byte(strings.Replace(string(first.Bytes()), `"sig":"ME`, `"sig":"MF`, 1))
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"nothing":             {nil, ErrInvalid},
		"no JSON":             {[]byte("x"), ErrInvalid},
		"too large":           {[]byte(strings.Repeat(" ", statement.MaxSize+1)), ErrInvalid},
		"a trailing newline":  {append(first.Bytes(), '\n'), ErrInvalid},
		"a stranger's":        {stranger.Bytes(), ErrForbidden},
		"a forged signature":  {forged, ErrInvalid},
		"the same name twice": {second.Bytes(), release.ErrConflict},
	} {
		if _, err := remote.Submit(within(t), c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := remote.Proof(within(t), 77); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("the proof of what is not there: %v", err)
	}
	s, err := remote.Status(within(t))
	if err != nil || s.Ledger.Published != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, d := range []digest.Digest{stranger.Digest(), second.Digest()} {
		if code, _, _ := get(t, addr+"/statements/"+d.String()); code != 404 {
			t.Errorf("a refused statement is served: %d", code)
		}
	}
}

// TestBackwardsClock: a node whose clock stands before what it signed signs
// nothing, says so everywhere, and still shows what it has.
func TestBackwardsClock(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	first := publish(t, h, "1.0.0", "one")
	check(t, h.Close(within(t)))
	future := time.Now().Add(24*time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z") + "\n"
	check(t, os.WriteFile(filepath.Join(dir, clockFile), []byte(future), 0o600))

	addr, _ := serve(t, dir)
	h = connect(t, dir)
	if _, err := h.Submit(within(t), sign(t, h, "2.0.0").Bytes()); !errors.Is(err, clock.ErrBackwards) {
		t.Errorf("submitting: %v", err)
	}
	p, err := h.Publisher(nil)
	check(t, err)
	if _, err := p.Now(); !errors.Is(err, clock.ErrBackwards) {
		t.Errorf("the publisher's time: %v", err)
	}
	if code, _, body := get(t, addr+"/readyz"); code != 503 || !strings.Contains(body, "the clock ran backwards") || strings.Contains(body, dir) {
		t.Errorf("readyz: %d %s", code, body)
	}
	if code, _, _ := get(t, addr+"/release/"+first.Envelope.Digest().String()); code != 200 {
		t.Errorf("release page: %d", code)
	}
	if f := finding(Doctor(within(t), dir), "clock"); f.OK || !strings.Contains(f.Detail, "were given out before") {
		t.Errorf("doctor: %+v", f)
	}
}

// TestLongPath: a socket works where its path is longer than the kernel takes.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40), "node")
	check(t, Init(t.Context(), dir, InitOptions{URL: "https://log.example.org", Listen: "127.0.0.1:0"}))
	p := startProcess(t, dir)
	h := connect(t, dir)
	if s, err := h.Status(within(t)); err != nil || !s.Served {
		t.Errorf("%+v, %v", s, err)
	}
	fi, err := os.Stat(filepath.Join(dir, socketFile))
	check(t, err)
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v", fi.Mode())
	}
	check(t, p.end(t, syscall.SIGTERM))
}

// TestTwoCommandsAtOnce: commands that open the node themselves do not shut
// each other out.
func TestTwoCommandsAtOnce(t *testing.T) {
	dir := newNode(t, InitOptions{})
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			h, err := Connect(within(t), dir, quiet())
			if err != nil {
				t.Errorf("command %d: %v", i, err)
				return
			}
			for j := range 3 {
				if _, err := h.Submit(within(t), sign(t, h, fmt.Sprintf("%d.%d", i, j)).Bytes()); err != nil {
					t.Errorf("command %d: %v", i, err)
				}
			}
			if err := h.Close(within(t)); err != nil {
				t.Errorf("command %d: %v", i, err)
			}
		})
	}
	work.Wait()
	r, err := CheckLog(within(t), dir, nil)
	if err != nil || len(r.Faults) > 0 || r.Size != 12 {
		t.Errorf("log check: %+v, %v", r, err)
	}
}

// TestMetricsAndAdd: the listeners beside the pages.
func TestMetricsAndAdd(t *testing.T) {
	dir := newNode(t, InitOptions{})
	metrics, add := freeAddr(t), freeAddr(t)
	path := filepath.Join(dir, ConfigFile)
	b, err := os.ReadFile(path)
	check(t, err)
	check(t, os.WriteFile(path, append(b, fmt.Sprintf("metrics-listen = %q\nadd-listen = %q\n", metrics, add)...), 0o600))
	addr, _ := serve(t, dir)
	res, err := http.Post("http://"+add+"/add", "application/octet-stream", strings.NewReader("raw entry"))
	check(t, err)
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || strings.TrimSpace(string(body)) != "0" {
		t.Errorf("add: %q, %v", body, err)
	}
	if code, _, _ := get(t, addr+"/metrics"); code != 404 {
		t.Errorf("the pages give metrics: %d", code)
	}
	code, _, body := get(t, "http://"+metrics+"/metrics")
	for _, want := range []string{"vitrine_build_info{", "vitrine_http_requests_total{", "vitrine_content_objects 0", "vitrine_clock_ok 1", "go_goroutines", "vitrine_projection_behind_entries"} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("metrics %d: no %s", code, want)
		}
	}
	if code, _, _ := get(t, "http://"+metrics+"/readyz"); code != 200 {
		t.Errorf("readyz beside the metrics: %d", code)
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

// TestNodeDocument: node.json is what docs/spec/node.md says, and is enough to
// verify a checkpoint.
func TestNodeDocument(t *testing.T) {
	dir := newNode(t, InitOptions{Name: "Example Ltd"})
	addr, _ := serve(t, dir)
	_, _, body := get(t, addr+"/node.json")
	var info map[string]any
	check(t, json.Unmarshal([]byte(body), &info))
	if len(info) != 9 || info["name"] != "Example Ltd" || info["origin"] != "log.example.org" {
		t.Errorf("node.json: %s", body)
	}
	_, _, raw := get(t, addr+"/checkpoint")
	c, err := tlog.ParseCheckpoint([]byte(raw))
	check(t, err)
	v, err := tlog.ParseVerifier(info["log"].([]any)[0].(string))
	check(t, err)
	if _, err := v.Verify(c); err != nil {
		t.Error(err)
	}
}

// TestServeRefuses: an address that is taken is named, and no other stays open.
func TestServeRefuses(t *testing.T) {
	dir := newNode(t, InitOptions{})
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	defer taken.Close()
	check(t, appendTo(filepath.Join(dir, ConfigFile), fmt.Sprintf("metrics-listen = %q\n", taken.Addr())))
	n, err := Open(within(t), dir, quiet())
	check(t, err)
	err = n.Serve(t.Context(), func(string) { t.Error("it serves") })
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "metrics") {
		t.Errorf("serving on a taken address: %v", err)
	}
	check(t, n.Close(within(t)))
	check(t, n.Close(within(t))) // again does nothing
}

// TestStopFinishesRequests: submissions under way when the node is told to stop
// are acknowledged and in the log.
func TestStopFinishesRequests(t *testing.T) {
	dir := newNode(t, InitOptions{})
	_, stop := serve(t, dir)
	h := connect(t, dir)
	var work sync.WaitGroup
	for i := range 10 {
		env := sign(t, h, fmt.Sprint("1.", i))
		work.Go(func() {
			if _, err := h.Submit(within(t), env.Bytes()); err != nil {
				t.Errorf("submission %d: %v", i, err)
			}
		})
	}
	stop()
	work.Wait()
	check(t, h.Close(within(t)))
	r, err := CheckLog(within(t), dir, nil)
	if err != nil || len(r.Faults) > 0 || r.Size != 10 {
		t.Errorf("log check: %+v, %v", r, err)
	}
}

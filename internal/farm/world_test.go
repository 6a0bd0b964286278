package farm_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/sandbox"
	"vitrine.example/internal/store/storetest"
)

func TestMain(m *testing.M) {
	sandbox.Enter()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// engine is a sandbox in which nothing is built.
type engine struct {
	run func(ctx context.Context, job *sandbox.Job, log io.Writer, outDir string) (sandbox.Result, error)
}

func (engine) Name() string                { return "embedded" }
func (engine) Check(context.Context) error { return nil }
func (e engine) Run(ctx context.Context, job *sandbox.Job, log io.Writer, outDir string) (sandbox.Result, error) {
	return e.run(ctx, job, log, outDir)
}

// makes is the end of a build that made one file.
func makes(outDir, text string) (sandbox.Result, error) {
	path := filepath.Join(outDir, "out", "app")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return sandbox.Result{}, err
	}
	return sandbox.Result{Engine: "embedded", Reason: sandbox.Exited, Outputs: []sandbox.Output{
		{Path: "/out/app", Mode: 0o644, Size: int64(len(text)), SHA256: digest.Of([]byte(text))},
	}}, os.WriteFile(path, []byte(text), 0o600)
}

// centre is a node: a queue, content, and an address for workers.
type centre struct {
	t     testing.TB
	queue *farm.Queue
	store *content.Store
	id    *farm.Identity
	addr  string

	mu      sync.Mutex
	workers map[digest.Digest]string
	srv     *http.Server
}

func newCentre(t testing.TB, lease time.Duration) *centre {
	t.Helper()
	s, err := content.Open(filepath.Join(t.TempDir(), "content"))
	check(t, err)
	c := &centre{t: t, store: s, id: identity(t), workers: map[digest.Digest]string{}}
	c.queue = &farm.Queue{DB: storetest.Open(t, storetest.SQLite(t)), Lease: lease, Now: time.Now}
	c.serve()
	t.Cleanup(c.stop)
	return c
}

// beside is another node with the same queue and content.
func (c *centre) beside() *centre {
	o := &centre{t: c.t, store: c.store, queue: c.queue, id: identity(c.t), workers: c.workers}
	o.serve()
	c.t.Cleanup(o.stop)
	return o
}

func identity(t testing.TB) *farm.Identity {
	t.Helper()
	i, err := farm.OpenIdentity(filepath.Join(t.TempDir(), "key.pem"))
	check(t, err)
	return i
}

func (c *centre) name(id digest.Digest) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers[id]
}

func (c *centre) know(i *farm.Identity, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.workers[i.ID()] = name
}

// serve listens, at the same address as before where there was one.
func (c *centre) serve() {
	c.t.Helper()
	at := c.addr
	if at == "" {
		at = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", at)
	check(c.t, err)
	c.addr = l.Addr().String()
	s := &farm.Server{Office: &farm.Local{Queue: c.queue, Store: c.store}, Name: c.name, Holder: c.queue.Holder, Log: quiet()}
	c.srv = &http.Server{Handler: s.Handler(), TLSConfig: c.id.ServerTLS(func(id digest.Digest) bool { return c.name(id) != "" }), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	srv := c.srv
	go func() { _ = srv.ServeTLS(l, "", "") }()
}

// stop cuts everybody off.
func (c *centre) stop() { _ = c.srv.Close() }

func (c *centre) endpoint() farm.Endpoint {
	return farm.Endpoint{URL: "https://" + c.addr, Key: c.id.ID()}
}

// client is a worker that the nodes know by a name.
func client(t testing.TB, name string, nodes ...*centre) *farm.Client {
	t.Helper()
	me := identity(t)
	var at []farm.Endpoint
	for _, n := range nodes {
		n.know(me, name)
		at = append(at, n.endpoint())
	}
	c, err := farm.NewClient(me, at)
	check(t, err)
	c.Patience = 20 * time.Second // a slow machine is not a silent node
	return c
}

func (c *centre) put(text string) recipe.Placed {
	c.t.Helper()
	in, err := c.store.Put(context.Background(), content.Room, bytes.NewReader([]byte(text)), int64(len(text)))
	check(c.t, err)
	return recipe.Placed{SHA256: in.Digest, Size: in.Size, At: "/in/" + in.Digest.String()}
}

// order asks for an artifact with that text; needs are what the job is given.
func (c *centre) order(n int, text string, needs ...recipe.Placed) int64 {
	c.t.Helper()
	a := ask(n)
	a.Order.Shipped = []rebuild.Shipped{{Name: "app", SHA256: digest.Of([]byte(text)), Size: int64(len(text))}}
	a.Order.Outputs = []recipe.Output{{Artifact: "app", Path: "/out/app"}}
	a.Order.Task.Job.Inputs = append(a.Order.Task.Job.Inputs, needs...)
	id, _, err := c.queue.Add(context.Background(), a)
	check(c.t, err)
	return id
}

// log is all that is kept of the newest lease's log.
func (c *centre) log(id int64) []byte {
	c.t.Helper()
	var all []byte
	for {
		b, err := c.queue.ReadLog(context.Background(), id, 0, int64(len(all)))
		check(c.t, err)
		if len(b) == 0 {
			return all
		}
		all = append(all, b...)
	}
}

// until waits for what will come true.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come true", what)
		}
	}
}

func (c *centre) state(id int64) farm.State {
	c.t.Helper()
	out, err := c.queue.Outcome(context.Background(), id)
	check(c.t, err)
	return out.State
}

func (c *centre) decided(id int64) *farm.Outcome {
	c.t.Helper()
	until(c.t, "a decision", func() bool { return c.state(id) == farm.Decided })
	out, err := c.queue.Outcome(context.Background(), id)
	check(c.t, err)
	return out
}

// worker runs until the test ends, or stop is called.
func worker(t testing.TB, o farm.Office, e sandbox.Engine, change ...func(w *farm.Worker)) (w *farm.Worker, stop func()) {
	t.Helper()
	w = &farm.Worker{Name: "w", Office: o, Engine: e, Dir: t.TempDir(), Idle: 20 * time.Millisecond, Now: time.Now, Log: quiet()}
	for _, f := range change {
		f(w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(w.Dir, "order-*")); len(left) > 0 {
			t.Errorf("the worker left %v", left)
		}
	})
	t.Cleanup(stop)
	return w, stop
}

// hostile is a server with a known key that answers as it likes.
func hostile(t testing.TB, h http.HandlerFunc) farm.Endpoint {
	t.Helper()
	i := identity(t)
	end, cancel := context.WithCancel(context.Background())
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(w, r.WithContext(end)) }))
	s.TLS = i.ServerTLS(func(digest.Digest) bool { return true })
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	t.Cleanup(func() { cancel(); s.CloseClientConnections(); s.Close() })
	return farm.Endpoint{URL: s.URL, Key: i.ID()}
}

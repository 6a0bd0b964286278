package centre

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/store"
	"vitrine.example/internal/web"
)

// farmKeyFile is made when workers are served first: they know the node by its
// ID, and it signs nothing but connections.
const (
	farmKeyFile = "keys/farm.pem"
	maxWorkers  = 256
)

// farming is the queue of rebuilds and who may work on it.
type farming struct {
	queue   *farm.Queue
	db      *store.DB // of farm-database; nil: the node's own
	workers map[digest.Digest]string
}

// Queue is the queue of rebuilds: the node's own, or the one that it shares.
func (n *Node) Queue() *farm.Queue { return n.farm.queue }

// openFarm opens the queue.
func (n *Node) openFarm(ctx context.Context) (err error) {
	n.farm.workers = n.cfg.workers
	db := n.db
	if n.cfg.FarmDatabase != "" {
		if n.farm.db, err = store.Open(ctx, string(n.cfg.FarmDatabase)); err != nil {
			return fmt.Errorf("farm-database: %w", err)
		}
		db = n.farm.db
	}
	n.farm.queue = &farm.Queue{DB: db, Lease: n.cfg.lease, Now: time.Now}
	return nil
}

func (f *farming) close() error {
	if f.db == nil {
		return nil
	}
	return f.db.Close()
}

// worker is the name of the worker of a key, "" for a stranger.
func (f *farming) worker(id digest.Digest) string { return f.workers[id] }

// office is where workers get their work, the node's own too.
func (n *Node) office() *farm.Local {
	return &farm.Local{Queue: n.farm.queue, Store: n.content, Fetch: n.jobs.fetch}
}

// farmListener opens the address of the workers; nil where there is none.
func (n *Node) farmListener(ctx context.Context) (*listener, error) {
	if n.cfg.FarmListen == "" {
		return nil, nil
	}
	me, err := farm.OpenIdentity(filepath.Join(n.dir, farmKeyFile))
	if err != nil {
		return nil, fmt.Errorf("farm key: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", n.cfg.FarmListen)
	if err != nil {
		return nil, fmt.Errorf("listening on %s for farm: %w", n.cfg.FarmListen, err)
	}
	knows := func(id digest.Digest) bool { return n.farm.worker(id) != "" }
	h := &farm.Server{Office: n.office(), Name: n.farm.worker, Holder: n.farm.queue.Holder, Log: n.log}
	srv := web.NewServer(h.Handler(), n.log)
	farm.Prepare(srv)
	n.log.Info("workers know this node by its farm key", "id", me.ID(), "workers", len(n.farm.workers))
	return &listener{"farm", tls.NewListener(web.LimitListener(l), me.ServerTLS(knows)), srv}, nil
}

// parseWorkers reads name=keyid.
func parseWorkers(list []string) (map[digest.Digest]string, error) {
	if len(list) > maxWorkers {
		return nil, fmt.Errorf("more than %d workers", maxWorkers)
	}
	out, names := map[digest.Digest]string{}, map[string]bool{}
	for _, s := range list {
		name, text, ok := strings.Cut(s, "=")
		id, err := digest.Parse(text)
		switch {
		case !ok || !workerName(name):
			return nil, fmt.Errorf("%.100q is not name=keyid; a name has 1 to 64 letters, digits, dots and dashes", s)
		case err != nil:
			return nil, fmt.Errorf("%.100q: the ID of the worker's key: %w; `vitrine worker` prints it", s, err)
		case names[name]:
			return nil, fmt.Errorf("the worker %s stands twice", name)
		case out[id] != "":
			return nil, fmt.Errorf("%s and %s have the same key", out[id], name)
		}
		out[id], names[name] = name, true
	}
	return out, nil
}

// workerName reports whether statements and pages can show a name as it is.
func workerName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

func parseLease(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second || d > time.Hour {
		return 0, fmt.Errorf("%.40q is not a time from 1s to 1h", s)
	}
	return d, nil
}

func checkFarmDatabase(d Database) error {
	if d != "" && !d.postgres() {
		return errors.New("want a URL such as postgres://user@host/name, or nothing for the node's own database")
	}
	if d == "" {
		return nil
	}
	return checkDatabase(d)
}

// farm says by which ID workers know the node, and whether the queue can be had.
func (e *examination) farm(ctx context.Context) {
	if e.cfg.FarmListen != "" {
		switch me, err := farm.ReadIdentity(filepath.Join(e.dir, farmKeyFile)); {
		case errors.Is(err, fs.ErrNotExist):
			e.ok("farm", "the key %s is made when the node is served; workers: %d", farmKeyFile, len(e.cfg.workers))
		case err != nil:
			e.bad("farm", "restore the key from its backup, or remove it and give the workers the ID of the new one", "%v", err)
		default:
			e.ok("farm", "workers: %d; they are started with --node https://HOST:PORT#sha256:%s", len(e.cfg.workers), me.ID())
		}
	}
	if e.cfg.FarmDatabase == "" {
		return
	}
	db, pending, err := store.OpenAsIs(ctx, string(e.cfg.FarmDatabase))
	if err != nil {
		e.bad("farm-database", "see that the server runs, and that the user and the database of the URL are there", "%v", err)
		return
	}
	e.ok("farm-database", "%s; migrations that the next start applies: %d", db.Engine(), pending)
	if err := db.Close(); err != nil {
		e.bad("farm-database", "see that the server runs", "closing: %v", err)
	}
}

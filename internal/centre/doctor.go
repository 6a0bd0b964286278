package centre

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"vitrine.example/internal/clock"
	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/key"
)

// Finding is one line of `vitrine doctor`.
type Finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// What doctor looks at, so that it ends soon on a large node.
const (
	sampleObjects = 200
	sampleBytes   = 256 << 20
	quickEntries  = 20_000
	scarce        = 1 << 30 // free bytes that are called little
	probeTimeout  = 3 * time.Second
)

// examination is one run of Doctor.
type examination struct {
	dir   string
	cfg   *Config
	held  bool // by another process
	found []Finding
}

func (e *examination) ok(check, format string, args ...any) {
	e.found = append(e.found, Finding{Check: check, OK: true, Detail: fmt.Sprintf(format, args...)})
}

func (e *examination) bad(check, remedy, format string, args ...any) {
	e.found = append(e.found, Finding{Check: check, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
}

// Doctor examines a node's directory: configuration, key files and their modes,
// clock, disk space, database, log, content, listeners. It changes nothing: what
// is missing is not made, what a crash left is not removed, and tables that an
// older program made stay as they are until the node is started.
func Doctor(ctx context.Context, dir string) []Finding {
	e := &examination{dir: dir}
	if !e.directory() || !e.configuration() {
		return e.found
	}
	e.process(ctx)
	e.keyFiles()
	e.time()
	e.disk()
	e.databaseAndLog(ctx)
	e.contents(ctx)
	e.listeners(ctx)
	e.farm(ctx)
	return e.found
}

func (e *examination) directory() bool {
	fi, err := os.Stat(e.dir)
	switch {
	case err != nil:
		e.bad("directory", "name the directory that `vitrine init` made", "%v", err)
		return false
	case !fi.IsDir():
		e.bad("directory", "name the directory that `vitrine init` made", "%s is not a directory", e.dir)
		return false
	case fi.Mode().Perm()&0o077 != 0:
		e.bad("directory", "chmod 700 "+e.dir, "%s has mode %04o: others can look into it", e.dir, fi.Mode().Perm())
	default:
		e.ok("directory", "%s, mode %04o", e.dir, fi.Mode().Perm())
	}
	return true
}

func (e *examination) configuration() bool {
	cfg, err := LoadConfig(e.dir)
	if err != nil {
		e.bad("configuration", "mend the line; `vitrine config` explains every key", "%v", err)
		return false
	}
	e.cfg = cfg
	host, _, _ := net.SplitHostPort(cfg.Listen)
	if strings.HasPrefix(cfg.URL, "http:") && !loopbackName(cfg.origin) {
		e.bad("configuration", "put a reverse proxy with TLS in front and write https:// in url", "%s: visitors are sent over plain http, which anyone on the way can change", cfg.URL)
	} else {
		e.ok("configuration", "%s, origin %s, listening on %s", cfg.Name, cfg.origin, cfg.Listen)
	}
	if cfg.AddListen != "" {
		e.bad("configuration", "empty add-listen after the load test", "add-listen is %s: every program on this machine (seen from %s) can write into the log", cfg.AddListen, host)
	}
	return true
}

func loopbackName(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// process finds out whether another process holds the node.
func (e *examination) process(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := dialControl(ctx, absolute(e.dir))
	switch {
	case err == nil:
		e.held = true
		e.ok("process", "a process holds the node and answers")
		_ = c.Close() // nothing was said
	case nobodyThere(err):
		e.ok("process", "no process holds the node")
	default:
		e.bad("process", "run doctor as the user that runs the node", "control socket: %v", err)
	}
}

func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// keyFiles looks at the keys in use and at every other file among them.
func (e *examination) keyFiles() {
	const remedy = "restore the key from its backup, or mend its mode with chmod 600"
	k, err := loadKeys(e.dir, e.cfg, time0)
	if err != nil {
		e.bad("keys", remedy, "%v", err)
	} else {
		e.ok("keys", "log %s, statements %s (%s)", k.vkeys()[0], k.statement.Public().ID(), k.statement.Public().Algorithm())
	}
	entries, err := os.ReadDir(filepath.Join(e.dir, keysDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.bad("keys", remedy, "%v", err)
	}
	for _, f := range entries {
		if f.IsDir() && f.Name() == filepath.Base(retiredDir) || strings.HasPrefix(f.Name(), ringTemp) {
			continue // read with the keys; left by an interrupted rotation
		}
		path := filepath.Join(e.dir, keysDir, f.Name())
		if _, err := key.ReadPrivateFile(path); err != nil {
			e.bad("keys", remedy, "%v", err)
		}
	}
}

// time0 is for keys that sign nothing.
func time0() (time.Time, error) { return time.Time{}, errors.New("doctor signs nothing") }

// clock compares the system's clock with the mark without moving it.
func (e *examination) time() {
	path := filepath.Join(e.dir, clockFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		e.bad("clock", "nothing: the next start makes it; but find out who removed it", "%s is missing: a clock that ran backwards would not be noticed", path)
		return
	} else if err != nil {
		e.bad("clock", "make it readable", "%v", err)
		return
	}
	mark, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(b)))
	now := time.Now()
	switch {
	case err != nil:
		e.bad("clock", "make sure that the clock is right and remove the file", "%s: %v", path, err)
	case now.Before(mark.Add(-clock.Tolerance - time.Second)):
		e.bad("clock", "set the clock right; nothing is signed until then", "it shows %s, and times up to %s were given out before",
			now.UTC().Format(time.RFC3339), mark.UTC().Format(time.RFC3339))
	default:
		e.ok("clock", "%s, not before any time that was signed", now.UTC().Format(time.RFC3339))
	}
}

func (e *examination) disk() {
	free, err := freeBytes(e.dir)
	switch {
	case err != nil:
		e.bad("disk", "make the directory readable", "%v", err)
	case free < scarce:
		e.bad("disk", "free some space", "%.1f GB are free", float64(free)/1e9)
	default:
		e.ok("disk", "%.1f GB are free", float64(free)/1e9)
	}
}

// databaseAndLog opens the database where there is one, checks it, and checks
// the log with it.
func (e *examination) databaseAndLog(ctx context.Context) {
	remedy := "keep a copy, move it away, and make it again from the log with `vitrine projection rebuild`"
	name := e.cfg.Database.in(e.dir)
	if e.cfg.Database.postgres() {
		remedy = "see that the server runs, and that the user and the database of the URL are there"
	} else {
		fi, err := os.Stat(name)
		if err != nil {
			e.bad("database", "make it again from the log with `vitrine projection rebuild`", "%v", err)
			e.log(ctx, nil)
			return
		}
		if fi.Mode().Perm()&0o077 != 0 {
			e.bad("database", "chmod 600 "+name, "%s has mode %04o: others can read it", name, fi.Mode().Perm())
		}
	}
	db, pending, err := store.OpenAsIs(ctx, name)
	if err != nil {
		e.bad("database", remedyFor(err, remedy), "%v", err)
		e.log(ctx, nil)
		return
	}
	switch err := db.Check(ctx); {
	case err != nil:
		e.bad("database", remedy, "%v", err)
	case pending > 0:
		e.ok("database", "%s, sound; migrations that the next start applies: %d; the log is checked without it", db.Engine(), pending)
	default:
		e.ok("database", "%s, sound", db.Engine())
	}
	if pending > 0 {
		e.log(ctx, nil)
	} else {
		e.log(ctx, db)
		e.witness(ctx, db)
		e.publication(ctx, db)
	}
	if err := db.Close(); err != nil {
		e.bad("database", remedy, "closing: %v", err)
	}
}

// remedyFor says what to do about what is not the fault of the data.
func remedyFor(err error, otherwise string) string {
	switch {
	case errors.Is(err, store.ErrFull), errors.Is(err, content.ErrFull), errors.Is(err, syscall.ENOSPC):
		return "free some space"
	case errors.Is(err, syscall.EROFS):
		return "mount the file system writable"
	case errors.Is(err, fs.ErrPermission):
		return "run it as the user that owns the node, or give that user the right to read and write there"
	}
	return otherwise
}

// errTooLong stops a check of a log that is too large for a quick one.
var errTooLong = errors.New("too long")

// log checks a small log completely and of a large one the beginning.
func (e *examination) log(ctx context.Context, db *store.DB) {
	const remedy = "stop the node and restore the log from a backup or a mirror"
	v, err := logVerifier(e.dir, e.cfg)
	if err != nil {
		e.bad("log", "mend the log key first", "%v", err)
		return
	}
	if err := onHold(e.dir); err != nil {
		e.bad("hold", "vitrine log resume "+e.dir+" --from URL, for every witness and mirror of the log", "%v", err)
	}
	path := filepath.Join(e.dir, logDir)
	if _, err := os.Stat(filepath.Join(path, "checkpoint")); err != nil {
		e.bad("log", remedy, "%v", err)
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var size int64
	r, err := ledger.Check(ctx, path, v, db, func(done, total int64) {
		if size = total; total > quickEntries && done >= quickEntries {
			cancel(errTooLong)
		}
	})
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errTooLong):
		e.ok("log", "entries: %d, of which the first %d agree; `vitrine log check` checks them all", size, quickEntries)
	case err != nil:
		e.bad("log", remedy, "%v", err)
	case len(r.Faults) > 0:
		e.bad("log", MendFaults(r.Faults), "faults: %d, the first: %s", len(r.Faults), r.Faults[0])
	default:
		e.ok("log", "entries: %d, all checked", r.Size)
	}
}

// contents reads a sample of the content again.
func (e *examination) contents(ctx context.Context) {
	const remedy = "fetch the content from where it came, or from a mirror"
	path := filepath.Join(e.dir, contentDir)
	if _, err := os.Stat(path); err != nil {
		e.bad("content", remedy, "%v", err)
		return
	}
	s, err := content.OpenAsIs(path)
	if err != nil {
		e.bad("content", remedyFor(err, remedy), "%v", err)
		return
	}
	var all []content.Info
	if err := s.Walk(ctx, func(i content.Info) error { all = append(all, i); return nil }); err != nil {
		e.bad("content", remedy, "%v", err)
		return
	}
	step := len(all)/sampleObjects + 1 // digests are random, so every n-th is a fair sample
	checked, read, wrong := 0, int64(0), 0
	for i := 0; i < len(all) && read < sampleBytes; i += step {
		checked, read = checked+1, read+all[i].Size
		if err := s.Check(ctx, all[i].Digest); err != nil {
			if wrong++; wrong <= 5 {
				e.bad("content", remedy, "%v", err)
			}
		}
	}
	if wrong == 0 {
		e.ok("content", "stored: %d, read again and whole: %d", len(all), checked)
	}
}

// listeners finds out whether the configured addresses can be had, or whether
// it is the node that has them.
func (e *examination) listeners(ctx context.Context) {
	for _, l := range []struct{ name, addr string }{
		{"listen", e.cfg.Listen}, {"metrics-listen", e.cfg.MetricsListen}, {"add-listen", e.cfg.AddListen}, {"farm-listen", e.cfg.FarmListen},
	} {
		if l.addr == "" {
			continue
		}
		sock, err := new(net.ListenConfig).Listen(ctx, "tcp", l.addr)
		switch {
		case err == nil && e.held:
			e.ok(l.name, "%s is free: the process that holds the node does not serve it", l.addr)
		case err == nil:
			e.ok(l.name, "%s is free", l.addr)
		case e.held && e.answers(ctx, l.addr):
			e.ok(l.name, "%s answers", l.addr)
		case e.held && (l.name == "add-listen" || l.name == "farm-listen"):
			e.ok(l.name, "%s is in use", l.addr)
		default:
			e.bad(l.name, "stop the other program or choose another address", "%v", err)
		}
		if err == nil {
			_ = sock.Close() // was only tried
		}
	}
}

// answers reports whether a node is healthy at an address.
func (e *examination) answers(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 16))
	return err == nil && bytes.Equal(b, []byte("ok\n"))
}

package centre

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vitrine.example/digest"
	"vitrine.example/internal/backup"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/source"
	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// restoreStaging is where a node is restored before it gets its name.
const restoreStaging = ".vitrine-restore"

// RestoreNodeOptions bound a restoration and tell of it.
type RestoreNodeOptions struct {
	Limits   backup.Limits
	Progress func(done, total int64) // in bytes of the archive; may be nil
}

// RestoredNode tells what was restored.
type RestoredNode struct {
	Origin  string   `json:"origin"`
	At      string   `json:"at"` // when the backup was begun
	Entries int64    `json:"entries"`
	Root    string   `json:"root"`
	Content int64    `json:"content"`
	Keys    bool     `json:"keys"`
	Missing []string `json:"missing,omitempty"` // what must be brought by hand
}

// RestoreNode makes the node of an archive of [Backup] in dir, which must be
// missing or empty. Everything is verified before anything is put in place: each
// file by the manifest, content by its digests, the log up to a checkpoint of its
// own key, and the database against the log. The node is there whole or not at all.
//
// It is on hold then: nobody can tell from a backup whether it is the newest that
// others have seen, and a log that goes on from an older one forks. [ResumeLog]
// asks them. Its witness has no memory (internal/witness, DESIGN.md), and cosigns
// nothing before it is recovered.
func RestoreNode(ctx context.Context, file, dir string, o RestoreNodeOptions) (_ *RestoredNode, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restoring %s: %w", file, err)
		}
	}()
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := wantEmpty(dir, restoreStaging); err != nil {
		return nil, err
	}
	tmp, mounted := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+restoreStaging), isMount(dir)
	if mounted {
		tmp = filepath.Join(dir, restoreStaging)
	}
	if err := os.MkdirAll(filepath.Dir(tmp), 0o755); err != nil {
		return nil, err
	}
	work, err := openWorkplace(tmp)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, work.close()) }()
	r := &reviving{dir: tmp, out: &RestoredNode{}}
	if err := r.run(ctx, file, o); err != nil {
		return nil, err
	}
	if err := wantEmpty(dir, restoreStaging); err != nil {
		return nil, err
	}
	return r.out, settle(tmp, dir, mounted)
}

// reviving is a RestoreNode under way.
type reviving struct {
	dir    string // where the node is made
	head   backup.Header
	log    tlog.Verifier
	cfg    *Config // once it was read: it is the first file
	out    *RestoredNode
	tiles  int64
	cosign bool // the log has a file of what is shown
}

func (r *reviving) run(ctx context.Context, file string, o RestoreNodeOptions) error {
	if err := r.unpack(ctx, file, o); err != nil {
		return err
	}
	if r.cfg == nil {
		return fmt.Errorf("%w: there is no %s in it", backup.ErrFormat, ConfigFile)
	}
	if err := r.database(ctx); err != nil {
		return err
	}
	if err := r.keys(); err != nil {
		return err
	}
	for _, d := range []string{keysDir, runDir} {
		if err := os.MkdirAll(filepath.Join(r.dir, d), privateMode); err != nil {
			return err
		}
	}
	// What was logged while the backup was made is not in its database.
	if err := writeNew(filepath.Join(r.dir, rebuildMark), nil, 0o600); err != nil {
		return err
	}
	if err := holdNode(r.dir, fmt.Sprintf("restored from a backup of %s with %d entries", r.out.At, r.out.Entries)); err != nil {
		return err
	}
	return syncAll(r.dir)
}

func (r *reviving) unpack(ctx context.Context, file string, o RestoreNodeOptions) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%w: it is not a regular file", backup.ErrFormat)
	}
	var in io.Reader = f
	if o.Progress != nil {
		done := int64(0)
		in = &telling{f, func(n int) { done += int64(n); o.Progress(done, fi.Size()) }}
	}
	return backup.Read(ctx, in, o.Limits, r.begin, r.put)
}

// begin reads the header.
func (r *reviving) begin(h backup.Header) (err error) {
	r.head = h
	if r.log, err = tlog.ParseVerifier(h.Log); err != nil {
		return fmt.Errorf("%w: key of the log: %w", backup.ErrFormat, err)
	}
	if r.log.Name() != h.Origin {
		return fmt.Errorf("%w: the key %s is not that of %q", backup.ErrFormat, r.log, h.Origin)
	}
	r.out.Origin, r.out.At, r.out.Keys = h.Origin, h.At.Format("2006-01-02T15:04:05Z07:00"), h.Keys
	return nil
}

// put writes one file of the archive.
func (r *reviving) put(name string, size int64, in io.Reader) error {
	if r.cfg == nil {
		if name != ConfigFile {
			return fmt.Errorf("%w: its first file is not %s", backup.ErrFormat, ConfigFile)
		}
		return r.config(size, in)
	}
	if rest, ok := strings.CutPrefix(name, logDir+"/"); ok && isLogFile(rest) {
		switch rest {
		case ledger.BackupCheckpoint:
		case ledger.BackupCosigned:
			r.cosign = true
			return r.file("cosigned.restoring", size, in, 0o600, nil)
		default:
			r.tiles++
		}
		return r.file(filepath.Base(ledger.RestoringDir(logDir))+"/"+rest, size, in, 0o644, nil)
	}
	if rest, ok := strings.CutPrefix(name, contentDir+"/"); ok {
		if d, ok := parseContentName(rest); ok {
			r.out.Content++
			return r.file(name, size, in, 0o400, &d)
		}
	}
	if name == databaseMember && r.head.Database == "sqlite" {
		return r.file(r.databaseName(), size, in, 0o600, nil)
	}
	if name == clockFile || isOwnFile(r.cfg, name) {
		if size > maxSmall {
			return fmt.Errorf("%w: %s has %d bytes", backup.ErrFormat, name, size)
		}
		return r.file(name, size, in, 0o600, nil)
	}
	return fmt.Errorf("%w: a node has no file %q that belongs into a backup", backup.ErrFormat, name)
}

// config reads the configuration, which says which other files there may be.
func (r *reviving) config(size int64, in io.Reader) (err error) {
	if size > maxConfig {
		return fmt.Errorf("%w: a configuration of %d bytes", backup.ErrFormat, size)
	}
	if err := r.file(ConfigFile, size, in, 0o600, nil); err != nil {
		return err
	}
	if r.cfg, err = LoadConfig(r.dir); err != nil {
		return err
	}
	if r.cfg.origin != r.head.Origin {
		return fmt.Errorf("%w: the configuration is that of %s, and the log that of %q", backup.ErrFormat, r.cfg.origin, r.head.Origin)
	}
	return nil
}

// databaseName is where the database is put: never outside of the node.
func (r *reviving) databaseName() string {
	name := filepath.ToSlash(string(r.cfg.Database))
	if !filepath.IsLocal(filepath.FromSlash(name)) || strings.Contains(name, "/") {
		return databaseMember
	}
	for _, n := range reserved {
		if n == name && n != databaseMember {
			return databaseMember
		}
	}
	return name
}

// file writes a file that must not be there yet. Where d is given, it must be
// its digest.
func (r *reviving) file(name string, size int64, in io.Reader, mode os.FileMode, d *digest.Digest) (err error) {
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), privateMode); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s is there twice", backup.ErrFormat, name)
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if n, err := io.Copy(io.MultiWriter(f, h), in); err != nil {
		return err
	} else if n != size {
		return fmt.Errorf("%w: %s has %d bytes, want %d", backup.ErrFormat, name, n, size)
	}
	if d != nil && digest.Digest(h.Sum(nil)) != *d {
		return fmt.Errorf("%w: %s does not have the digest that is its name", backup.ErrFormat, name)
	}
	return f.Chmod(mode)
}

// database checks the database and verifies the log, which must not be older
// than the database.
func (r *reviving) database(ctx context.Context) (err error) {
	if r.head.Database != "sqlite" {
		r.out.Missing = append(r.out.Missing, "the PostgreSQL database: restore the copy that pg_dump made before this backup, or let the next start fill an empty one; then what only it knew, the circle and the witness's logs, is gone")
		return r.restoreLog(ctx, nil)
	}
	name := r.databaseName()
	if filepath.FromSlash(name) != string(r.cfg.Database) {
		r.out.Missing = append(r.out.Missing, fmt.Sprintf("the database lies in %s, and the configuration names %s: move it there", name, r.cfg.Database))
	}
	path := filepath.Join(r.dir, name)
	db, _, err := store.OpenAsIs(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no %s in it", backup.ErrFormat, databaseMember)
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Check(ctx); err != nil {
		return err
	}
	return r.restoreLog(ctx, db)
}

// restoreLog verifies what was unpacked as [ledger.Restore] does with what a
// stranger gives.
func (r *reviving) restoreLog(ctx context.Context, db *store.DB) error {
	dir := filepath.Join(r.dir, logDir)
	here, err := source.Open(ledger.RestoringDir(dir), software())
	if err != nil {
		return fmt.Errorf("%w: there is no log in it: %w", backup.ErrFormat, err)
	}
	o := ledger.RestoreOptions{Dir: dir, Verifier: r.log, Sources: []ledger.Source{here}, DB: db}
	var shown []byte
	if r.cosign {
		path := filepath.Join(r.dir, "cosigned.restoring")
		if shown, err = readSmall(path); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		if len(shown) > 0 {
			o.Sources = append(o.Sources, checkpointOnly(shown))
		}
	}
	got, err := ledger.Restore(ctx, o)
	if err != nil {
		return err
	}
	if got.Kept != r.tiles || got.Fetched != 0 {
		return fmt.Errorf("%w: it has %d files of the log's tree, and %d belong to it", backup.ErrFormat, r.tiles, got.Kept)
	}
	r.out.Entries, r.out.Root = got.Size, got.Root
	if r.cosign {
		return ledger.Shown(dir, shown)
	}
	return nil
}

// checkpointOnly is a source that has nothing but a checkpoint.
type checkpointOnly []byte

func (checkpointOnly) String() string { return "the checkpoint that was cosigned" }

// Checkpoint implements [ledger.Source].
func (c checkpointOnly) Checkpoint(context.Context) ([]byte, error) { return c, nil }

// Tile implements [ledger.Source].
func (checkpointOnly) Tile(context.Context, tlog.Tile) ([]byte, error) { return nil, fs.ErrNotExist }

// keys makes sure that keys which came along are those of the log.
func (r *reviving) keys() error {
	if !r.head.Keys {
		r.out.Missing = append(r.out.Missing, "the private keys: put them into "+keysDir+"/")
		return nil
	}
	all, err := logVerifiers(r.dir, r.cfg)
	if errors.Is(err, fs.ErrNotExist) {
		r.out.Missing = append(r.out.Missing, "the key of the log, "+r.cfg.LogKey)
		return nil
	} else if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, r.log.Equal) {
		return fmt.Errorf("%w: the key %s is not that of the log, %s", backup.ErrFormat, r.cfg.LogKey, r.log)
	}
	return nil
}

// syncAll makes everything below dir durable.
func syncAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		return syncDirs(path)
	})
}

package centre

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"vitrine.example/internal/backup"
	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
)

// databaseMember is the SQLite database in a backup, wherever the node has it.
const databaseMember = "vitrine.db"

// maxSmall bounds configuration, clock, keys and policy in bytes.
const maxSmall = 1 << 20

// BackupOptions say what to put into a backup.
type BackupOptions struct {
	Keys     bool                    // private keys as well
	Progress func(done, total int64) // in bytes; may be nil
}

// Backed tells what is in a backup.
type Backed struct {
	Origin  string   `json:"origin"`
	Entries int64    `json:"entries"` // of the log
	Content int64    `json:"content"` // digests
	Bytes   int64    `json:"bytes"`   // of all files
	Keys    bool     `json:"keys"`
	Missing []string `json:"missing,omitempty"` // what the node needs and the backup has not
}

// Backup writes an archive of the node in dir, from which [RestoreNode] makes it
// again. It works while the node is served, changes nothing in it, and has
// everything that was acknowledged before it began. The file is there whole or
// not at all, for its owner alone, and is not written over.
//
// The order makes it consistent: the database first, as it stands at one moment;
// then the newest checkpoint and what is below it, so that the log is never older
// than the database; content last, because all that an entry names was stored
// before the entry was logged.
func Backup(ctx context.Context, dir, file string, o BackupOptions) (_ *Backed, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("backing up the node %s: %w", dir, err)
		}
	}()
	cfg, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(file); err == nil {
		return nil, fmt.Errorf("writing %s: %w", file, fs.ErrExist)
	}
	if file, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	work, err := openWorkplace(filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".vitrine-backup"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, work.close()) }()
	b := &backing{dir: absolute(dir), work: work.dir, cfg: cfg, o: o, out: &Backed{Origin: cfg.origin, Keys: o.Keys}}
	made := filepath.Join(work.dir, "archive")
	if err := b.write(ctx, made); err != nil {
		return nil, err
	}
	if err := os.Link(made, file); err != nil { // never over a file that came meanwhile
		return nil, err
	}
	return b.out, syncDirs(filepath.Dir(file))
}

// backing is a Backup under way.
type backing struct {
	dir, work string
	cfg       *Config
	o         BackupOptions
	w         *backup.Writer
	total     int64
	out       *Backed
}

func (b *backing) write(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := b.parts(ctx, f); err != nil {
		return err
	}
	return f.Sync()
}

func (b *backing) parts(ctx context.Context, f io.Writer) error {
	all, err := logVerifiers(b.dir, b.cfg)
	if err != nil {
		return err
	}
	// A checkpoint that was signed before the key was rotated has the old key's
	// signature alone; one key must do for all that the archive has.
	v, err := ledger.SignedAlone(filepath.Join(b.dir, logDir), all...)
	if err != nil {
		return err
	}
	h := backup.Header{Origin: b.cfg.origin, Log: v.String(), At: time.Now().UTC().Truncate(time.Second), Software: software(), Keys: b.o.Keys, Database: "sqlite"}
	if b.cfg.Database.postgres() {
		h.Database = "postgres"
		b.out.Missing = append(b.out.Missing, "the PostgreSQL database: make a copy of it with pg_dump, before this one")
	}
	if b.w, err = backup.NewWriter(f, h); err != nil {
		return err
	}
	b.total = b.estimate()
	if err := b.small(ctx, ConfigFile); err != nil {
		return err
	}
	if err := b.database(ctx); err != nil {
		return err
	}
	b.out.Entries, err = ledger.Backup(ctx, filepath.Join(b.dir, logDir), v, func(name string, raw []byte) error {
		return b.put(ctx, logDir+"/"+name, int64(len(raw)), bytes.NewReader(raw))
	})
	if err != nil {
		return err
	}
	if err := b.contents(ctx); err != nil {
		return err
	}
	if err := b.others(ctx); err != nil {
		return err
	}
	return b.w.Close()
}

// put adds a file and tells how far it is.
func (b *backing) put(ctx context.Context, name string, size int64, r io.Reader) error {
	if b.o.Progress != nil {
		r = &telling{r, func(n int) {
			b.out.Bytes += int64(n)
			b.o.Progress(b.out.Bytes, max(b.total, b.out.Bytes))
		}}
	} else {
		b.out.Bytes += size
	}
	return b.w.Put(ctx, name, size, r)
}

// telling tells of each reading.
type telling struct {
	io.Reader
	tell func(int)
}

func (t *telling) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.tell(n)
	return n, err
}

// estimate is about how much there is, for the bar.
func (b *backing) estimate() (total int64) {
	for _, d := range []string{logDir, contentDir} {
		_ = filepath.WalkDir(filepath.Join(b.dir, d), func(_ string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				if fi, err := e.Info(); err == nil {
					total += fi.Size()
				}
			}
			return nil
		})
	}
	if fi, err := os.Stat(b.cfg.Database.in(b.dir)); err == nil {
		total += fi.Size()
	}
	return total
}

// small adds a small file of the directory as it is.
func (b *backing) small(ctx context.Context, name string) error {
	raw, err := readSmall(filepath.Join(b.dir, name))
	if err != nil {
		return err
	}
	return b.put(ctx, name, int64(len(raw)), bytes.NewReader(raw))
}

func readSmall(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxSmall {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", path, maxSmall)
	}
	return os.ReadFile(path)
}

// database adds a copy of the SQLite database.
func (b *backing) database(ctx context.Context) error {
	if b.cfg.Database.postgres() {
		return nil
	}
	path := filepath.Join(b.work, databaseMember)
	if err := store.CopySQLite(ctx, b.cfg.Database.in(b.dir), path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	return errors.Join(b.put(ctx, databaseMember, fi.Size(), f), os.Remove(path))
}

// contents adds all content, whatever its class, each checked against its digest.
func (b *backing) contents(ctx context.Context) error {
	held, err := content.OpenAsIs(filepath.Join(b.dir, contentDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return held.Walk(ctx, func(in content.Info) error {
		r, in, err := held.Open(ctx, in.Digest)
		if err != nil {
			return err
		}
		defer r.Close()
		b.out.Content++
		d := in.Digest.String()
		return b.put(ctx, contentDir+"/"+string(in.Class)+"/"+d[:2]+"/"+d, in.Size, r)
	})
}

// others adds the clock, what the configuration names, and the keys where asked for.
func (b *backing) others(ctx context.Context) error {
	if err := b.small(ctx, clockFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if copies, err := os.ReadDir(filepath.Join(b.dir, mirrorsDir)); err == nil && len(copies) > 0 {
		b.out.Missing = append(b.out.Missing, "the copies of other logs: keep "+mirrorsDir+"/ as well, or they are held after a restore")
	}
	names := append([]string{b.cfg.WitnessPolicy}, retiredFiles(b.dir)...)
	if b.o.Keys {
		names = append(names, keyFiles(b.dir, b.cfg)...)
	} else {
		b.out.Missing = append(b.out.Missing, "the private keys: keep a copy of them elsewhere")
	}
	for _, name := range names {
		switch {
		case name == "":
		case !isOwnFile(b.cfg, filepath.ToSlash(name)):
			b.out.Missing = append(b.out.Missing, name+": it does not lie in the node's directory")
		default:
			if err := b.small(ctx, filepath.ToSlash(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// retiredFiles lists the public parts of retired keys.
func retiredFiles(dir string) (out []string) {
	names, err := ringNames(filepath.Join(dir, retiredDir))
	for _, name := range names {
		if _, ok := parseRingName(retiredDir, name); ok && err == nil {
			out = append(out, retiredDir+"/"+name)
		}
	}
	return out
}

// keyFiles lists the key files that the configuration names, and the others in keys/.
func keyFiles(dir string, cfg *Config) []string {
	var out []string
	found, _ := filepath.Glob(filepath.Join(dir, keysDir, "*.pem"))
	for _, path := range found {
		out = append(out, keysDir+"/"+filepath.Base(path))
	}
	for _, name := range []string{cfg.StatementKey, cfg.LogKey, cfg.LogMLDSAKey, cfg.WitnessKey, cfg.WitnessMLDSAKey, cfg.MirrorKey} {
		if name != "" && !isAgentKey(name) && !slices.Contains(out, filepath.ToSlash(name)) {
			out = append(out, name)
		}
	}
	return out
}

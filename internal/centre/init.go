package centre

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"vitrine.example/internal/witness"
)

// InitOptions say what node to make.
type InitOptions struct {
	Name      string // of the organisation, for people; default: the host of the URL
	URL       string // public base URL; its host is the log's origin; default: http:// and Listen
	Listen    string // host:port; default 127.0.0.1:8080
	Algorithm string // of the statement key: "ecdsa-p256" (default) or "ed25519"
	MLDSA     bool   // sign checkpoints with ML-DSA-44 too
}

// Names in a node's directory.
const (
	logDir      = "log"
	contentDir  = "content"
	runDir      = "run"
	clockFile   = "clock"
	staging     = ".vitrine-init"
	privateMode = 0o700
)

// Init makes the directory of a node: configuration, keys, empty stores and an
// empty log with its first checkpoint. It refuses a directory that is not
// empty, and leaves nothing behind on error.
//
// The node is made under another name beside dir and then renamed, so that dir
// is a whole node or none. Where dir is a mount point, it is made inside and
// moved, the configuration last.
func Init(ctx context.Context, dir string, o InitOptions) (err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("making a node in %s: %w", dir, err)
	}
	set, err := o.settings()
	if err != nil {
		return fmt.Errorf("making a node in %s: %w", dir, err)
	}
	if err := wantEmpty(dir); err != nil {
		return err
	}
	tmp, mounted, err := stage(dir)
	if err != nil {
		return fmt.Errorf("making a node in %s: %w", dir, err)
	}
	defer func() {
		if rm := os.RemoveAll(tmp); err == nil && rm != nil {
			err = fmt.Errorf("making a node in %s: %w", dir, rm)
		}
	}()
	if err := furnish(ctx, tmp, set, o); err != nil {
		return fmt.Errorf("making a node in %s: %w", dir, err)
	}
	if err := settle(tmp, dir, mounted); err != nil {
		return fmt.Errorf("making a node in %s: %w", dir, err)
	}
	return nil
}

// settings returns the keys to write, checked as a whole configuration.
func (o *InitOptions) settings() (map[string]any, error) {
	set := map[string]any{}
	if o.Listen != "" {
		set["listen"] = o.Listen
	}
	base := o.URL
	if base == "" {
		base = "http://" + defaults().Listen
		if o.Listen != "" {
			base = "http://" + o.Listen
		}
	}
	origin, err := originOf(base)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	set["url"], set["name"] = base, o.Name
	set["witness-key"], set["witness-mldsa-key"] = witnessKeyFile, witnessMLDSAFile
	set["mirror-key"] = mirrorKeyFile
	if o.Name == "" {
		set["name"] = origin
	}
	if o.MLDSA {
		set["log-mldsa-key"] = logMLDSAKeyFile
	}
	if _, err := parseConfig([]byte(renderConfig(set))); err != nil {
		return nil, unlined(err)
	}
	return set, nil
}

// unlined takes the line off an error of parseConfig, where nobody has written
// the file that is meant.
func unlined(err error) error {
	if where, what, ok := strings.Cut(err.Error(), ": "); ok && strings.HasPrefix(where, "line ") {
		return errors.New(what)
	}
	return err
}

// wantEmpty refuses dir where something is in it. What a new file system brings
// along does not count, nor do names in also.
func wantEmpty(dir string, also ...string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("making a node in %s: %w", dir, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, ConfigFile)); err == nil {
		return fmt.Errorf("making a node in %s: there is one already: %w", dir, fs.ErrExist)
	}
	for _, e := range entries {
		if e.Name() == "lost+found" || slices.Contains(also, e.Name()) {
			continue
		}
		return fmt.Errorf("making a node in %s: the directory is not empty (%s): choose another, or empty it", dir, e.Name())
	}
	return nil
}

// stage makes the directory in which the node is made.
func stage(dir string) (tmp string, mounted bool, err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", false, err
	}
	if mounted = isMount(dir); mounted {
		tmp, err = os.MkdirTemp(dir, staging+"-")
	} else {
		tmp, err = os.MkdirTemp(filepath.Dir(dir), staging+"-")
	}
	return tmp, mounted, err
}

// isMount reports whether dir stands on another file system than its parent.
func isMount(dir string) bool {
	var a, b syscall.Stat_t
	if syscall.Stat(dir, &a) != nil || syscall.Stat(filepath.Dir(dir), &b) != nil {
		return false
	}
	return a.Dev != b.Dev
}

// furnish puts everything into a new directory.
func furnish(ctx context.Context, dir string, set map[string]any, o InitOptions) error {
	for _, d := range []string{keysDir, runDir} {
		if err := os.Mkdir(filepath.Join(dir, d), privateMode); err != nil {
			return err
		}
	}
	if err := makeKeys(dir, o); err != nil {
		return err
	}
	if err := witness.NewState(filepath.Join(dir, witnessState)); err != nil {
		return err
	}
	header := "# Configuration of this node. `vitrine config` explains every key.\n\n"
	if err := writeNew(filepath.Join(dir, ConfigFile), []byte(header+renderConfig(set)), 0o600); err != nil {
		return err
	}
	// Opening makes database, content store and the log's first checkpoint.
	n, err := openAny(ctx, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := n.Close(ctx); err != nil {
		return err
	}
	return syncDirs(dir)
}

// settle gives the node its name.
func settle(tmp, dir string, mounted bool) error {
	if !mounted {
		if err := os.Rename(tmp, dir); err != nil {
			return err
		}
		return syncDirs(filepath.Dir(dir))
	}
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	moved := []string{}
	for _, e := range entries {
		if e.Name() != ConfigFile {
			moved = append(moved, e.Name())
		}
	}
	for i, name := range append(moved, ConfigFile) {
		if err := os.Rename(filepath.Join(tmp, name), filepath.Join(dir, name)); err != nil {
			for _, back := range moved[:i] {
				err = errors.Join(err, os.RemoveAll(filepath.Join(dir, back)))
			}
			return err
		}
	}
	if err := os.Chmod(dir, privateMode); err != nil {
		return err
	}
	return syncDirs(dir)
}

// syncDirs makes the names in directories durable.
func syncDirs(dirs ...string) error {
	for _, d := range dirs {
		f, err := os.Open(d)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("syncing %s: %w", d, err)
		}
	}
	return nil
}

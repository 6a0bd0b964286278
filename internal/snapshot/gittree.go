package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// treeWriter writes trees of one repository into a sink.
type treeWriter struct {
	repo  *repository
	objs  *objects
	sink  *sink
	base  string // of the repository within the snapshot, "" or with a final slash
	trees *int64 // read so far, all repositories together
}

// tree writes what lies below name. Git keeps entries in the order of the
// snapshot; one that does not is refused by the sink.
func (t *treeWriter) tree(id, name string) error {
	if t.trees == nil {
		t.trees = new(int64)
	}
	if *t.trees++; *t.trees > t.sink.lim.Entries {
		return fmt.Errorf("more than %d directories: %w", t.sink.lim.Entries, ErrTooLarge)
	}
	list, err := t.objs.tree(id)
	if err != nil {
		return err
	}
	for _, e := range list {
		if strings.ContainsRune(e.name, '/') {
			return refuse(name+e.name, "is not a plain relative path")
		}
		if err := checkPath(name + e.name); err != nil {
			return err
		}
		if err := t.entry(e, name+e.name); err != nil {
			return err
		}
	}
	return nil
}

func (t *treeWriter) entry(e treeEntry, name string) error {
	switch e.mode {
	case "40000":
		return t.tree(e.id, name+"/")
	case "100644", "100664", "100755":
		return t.objs.read(e.id, "blob", func(size int64, r io.Reader) error {
			return t.sink.file(name, e.mode == "100755", size, r)
		})
	case "120000":
		target, err := t.objs.all(e.id, "blob", MaxPath)
		if err != nil {
			return fmt.Errorf("link %q: %w", name, err)
		}
		return t.sink.link(name, string(target))
	case "160000":
		return t.submodule(e.id, name)
	}
	return refuse(name, fmt.Sprintf("has the git mode %.20q", e.mode))
}

// submodule writes the commit id of the repository that is checked out at name.
func (t *treeWriter) submodule(id, name string) (err error) {
	dir := filepath.Join(t.repo.dir, filepath.FromSlash(strings.TrimPrefix(name, t.base)))
	if _, err := os.Lstat(filepath.Join(dir, ".git")); t.repo.bare || err != nil {
		return refuse(name, "is a submodule that is not checked out (git submodule update --init --recursive) and")
	}
	sub := &repository{dir: dir, lim: t.repo.lim}
	objs, err := sub.objects(t.sink.ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objs.close()) }()
	c, err := objs.commit(id)
	if err != nil {
		return fmt.Errorf("submodule %q: %w", name, err)
	}
	in := &treeWriter{repo: sub, objs: objs, sink: t.sink, base: name + "/", trees: t.trees}
	return in.tree(c.tree, name+"/")
}

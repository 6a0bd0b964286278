package centre

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"vitrine.example/key"
	"vitrine.example/tlog"
)

// ErrRotation says that a step of a rotation is refused, and its text why and
// what to do.
var ErrRotation = errors.New("this step is refused")

// ErrServed is returned for what needs the node to be stopped.
var ErrServed = errors.New("the node is being served by another process, which goes on with the keys that it has read")

// refuseStep says why a step is refused, and what to do.
func refuseStep(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRotation}, args...)...)
}

// Rotated is what a step has done.
type Rotated struct {
	Kind string   `json:"kind"`
	Step string   `json:"step"` // prepare, use or retire
	ID   string   `json:"id"`   // fingerprint of the key that it was done to
	Key  string   `json:"key"`  // PEM or vkey
	File string   `json:"file"`
	Next []string `json:"next"` // what to do now
	Note []string `json:"note,omitempty"`
}

// rotation is a step under way, in the process that holds the node.
type rotation struct {
	n    *Node
	kind keyKind
	path string // of the key in use
	keys *keys  // as they lie on the disk now
	at   time.Time
}

// step is one change on the disk, after which a process may end.
type step func() error

// perform does some steps in order.
func perform(steps []step) error {
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}

// rotation reads the keys again: another process may have changed them.
func (n *Node) rotation(kind string) (*rotation, error) {
	k, ok := kindNamed(kind)
	if !ok {
		return nil, refuseStep("%.40q is no kind of key: %s", kind, strings.Join(KeyKinds(), ", "))
	}
	r := &rotation{n: n, kind: k, path: k.path(n.cfg)}
	switch {
	case r.path == "":
		return nil, refuseStep("the node has no key of the kind %s: name one in %s first", kind, ConfigFile)
	case isAgentKey(r.path):
		return nil, refuseStep("the %s key is in ssh-agent, where nothing can be put beside it: add the new key to the agent and, when others know it, name it in %s; put the public part of the old one into %s",
			kind, ConfigFile, retiredDir+"/"+kind+".TIME.pub")
	}
	noTime := func() (time.Time, error) { return time.Time{}, errors.New("nothing is signed here") }
	var err error
	if r.keys, err = loadKeys(n.dir, n.cfg, noTime); err != nil {
		return nil, err
	}
	if r.at, err = n.clock.Now(); err != nil {
		return nil, err
	}
	return r, r.sweep()
}

// sweep removes what interrupted steps have left: files that were not whole, and
// a prepared key that is in use already.
func (r *rotation) sweep() error {
	left, err := filepath.Glob(filepath.Join(r.n.dir, keysDir, ringTemp+"*"))
	if err != nil {
		return err
	}
	more, err := filepath.Glob(filepath.Join(r.n.dir, retiredDir, ringTemp+"*"))
	if err != nil {
		return err
	}
	for _, path := range append(left, more...) {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	next, err := filepath.Glob(filepath.Join(r.n.dir, keysDir, r.kind.name+".next.*.pem"))
	if err != nil {
		return err
	}
	for _, path := range next {
		k, ok := parseRingName(keysDir, filepath.Base(path))
		if !ok {
			continue
		}
		if err := k.read(r.n.dir, r.n.cfg.origin); err != nil {
			return err
		}
		if k.text == r.keys.used()[r.kind.name] {
			if err := r.remove(k.file); err != nil {
				return err
			}
		}
	}
	return nil
}

// put writes a file that is there whole or not at all.
func (r *rotation) put(path string, b []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, privateMode); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ringTemp+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && os.Geteuid() == 0 {
		err = give(f, r.n.dir)
	}
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDirs(dir, filepath.Dir(dir))
}

// give makes the owner of the node's directory that of a file: a key that root
// has put there must not keep the user out that runs the node.
func give(f *os.File, dir string) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if s, ok := fi.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(s.Uid), int(s.Gid))
	}
	return nil
}

// remove removes a file of the ring, durably.
func (r *rotation) remove(file string) error {
	path := filepath.Join(r.n.dir, file)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDirs(filepath.Dir(path))
}

// one returns the only key of the kind in a state.
func (r *rotation) one(state KeyState) (ringKey, bool, error) {
	all := r.keys.ring.of(r.kind.name, state)
	switch len(all) {
	case 0:
		return ringKey{}, false, nil
	case 1:
		return all[0], true, nil
	}
	return ringKey{}, false, refuseStep("there are %d %s keys of the kind %s: leave one of %s and %s in %s", len(all), state, r.kind.name,
		filepath.Base(all[0].file), filepath.Base(all[1].file), keysDir)
}

func (r *rotation) done(step string, k ringKey, next ...string) *Rotated {
	return &Rotated{Kind: r.kind.name, Step: step, ID: k.id().String(), Key: k.text, File: k.file, Next: next}
}

// prepareKey makes a key that signs nothing yet.
func (n *Node) prepareKey(kind string) (*Rotated, error) {
	n.rotating.Lock()
	defer n.rotating.Unlock()
	r, err := n.rotation(kind)
	if err != nil {
		return nil, err
	}
	k, there, err := r.one(KeyPrepared)
	if err != nil {
		return nil, err
	}
	if old, waiting, err := r.one(KeyOld); err != nil {
		return nil, err
	} else if waiting && !there {
		return nil, refuseStep("the last rotation has not ended: %s is still there; end it with `vitrine key retire`", old.file)
	}
	if !there { // else it was prepared before
		if k, err = r.make(); err != nil {
			return nil, err
		}
	}
	if err := n.redescribe(); err != nil {
		return nil, err
	}
	return r.done("prepare", k, r.afterPrepare()...), nil
}

// make makes a key of the same algorithm as the one in use.
func (r *rotation) make() (k ringKey, err error) {
	alg := key.Ed25519
	switch {
	case r.kind.list == statementKind:
		alg = r.keys.own().Algorithm()
	case r.kind.typ == tlog.MLDSA44Cosignature:
		alg = key.MLDSA44
	}
	s, err := key.Generate(alg, nil)
	if err != nil {
		return k, err
	}
	raw, err := key.MarshalPrivate(s)
	if err != nil {
		return k, err
	}
	k = ringKey{kind: r.kind, state: KeyPrepared, at: stampOf(r.at), file: ringName(r.kind.name, KeyPrepared, r.at)}
	if k.text, err = r.kind.text(r.n.cfg.origin, s.Public()); err != nil {
		return k, err
	}
	return k, r.put(filepath.Join(r.n.dir, k.file), raw, 0o600)
}

// stampOf is a time as names of files have it.
func stampOf(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// useKey puts the prepared key into use. The old one stays beside it.
func (n *Node) useKey(ctx context.Context, kind string) (*Rotated, error) {
	r, err := n.rotation(kind)
	if err != nil {
		return nil, err
	}
	k, there, err := r.one(KeyPrepared)
	if err != nil {
		return nil, err
	}
	if old := r.keys.ring.of(kind, KeyOld); !there && len(old) > 0 { // it was done before
		used := ringKey{kind: r.kind, file: r.path, text: r.keys.used()[kind]}
		return r.done("use", used, r.afterUse(old[0])...), nil
	}
	if !there {
		return nil, refuseStep("no key of the kind %s is prepared: `vitrine key prepare` makes one", kind)
	}
	if err := r.mayUse(ctx, k); err != nil {
		return nil, err
	}
	steps, old, err := r.exchange(k)
	if err != nil {
		return nil, err
	}
	if err := perform(steps); err != nil {
		return nil, fmt.Errorf("putting a key into use (run it again to go on): %w", err)
	}
	out := r.done("use", k, r.afterUse(old)...)
	out.File = r.path
	return out, nil
}

// exchange lists the steps in which a prepared key takes the place of the one in
// use. Between any two of them the node has either the one or the other, and
// running them again ends the same.
func (r *rotation) exchange(k ringKey) (steps []step, old ringKey, err error) {
	used := in(r.n.dir, r.path)
	was, err := readSmall(used)
	if err != nil {
		return nil, old, err
	}
	is, err := readSmall(filepath.Join(r.n.dir, k.file))
	if err != nil {
		return nil, old, err
	}
	text := r.keys.used()[r.kind.name]
	old = ringKey{kind: r.kind, state: KeyOld, at: stampOf(r.at), file: ringName(r.kind.name, KeyOld, r.at), text: text}
	if err := r.forget(text); err != nil {
		return nil, old, err
	}
	return []step{
		func() error { return r.put(filepath.Join(r.n.dir, old.file), was, 0o600) },
		func() error { return r.put(used, is, 0o600) },
		func() error { return r.remove(k.file) },
	}, old, nil
}

// forget removes the copy of the key in use that an exchange has made which did
// not go on.
func (r *rotation) forget(text string) error {
	made, err := filepath.Glob(filepath.Join(r.n.dir, keysDir, r.kind.name+".old.*.pem"))
	if err != nil {
		return err
	}
	return r.removeCopies(keysDir, made, text, "")
}

// removeCopies removes those of the files in a directory that hold the key text,
// but one.
func (r *rotation) removeCopies(dir string, names []string, text, but string) error {
	for _, name := range names {
		k, ok := parseRingName(dir, filepath.Base(name))
		if !ok || k.file == but {
			continue
		}
		if err := k.read(r.n.dir, r.n.cfg.origin); err != nil {
			return err
		}
		if k.text != text {
			continue
		}
		if err := r.remove(k.file); err != nil {
			return err
		}
	}
	return nil
}

// retireKey removes the old private key. Its public part stays, so that what it
// signed is known; where it is stolen, as one that is not to be trusted.
func (n *Node) retireKey(ctx context.Context, kind string, stolen bool) (*Rotated, error) {
	r, err := n.rotation(kind)
	if err != nil {
		return nil, err
	}
	old := r.keys.ring.of(kind, KeyOld)
	if len(old) == 0 {
		return nil, refuseStep("no key of the kind %s is old: `vitrine key use` puts another in the place of the one in use", kind)
	}
	notes, err := r.mayRetire(ctx, old)
	if err != nil {
		return nil, err
	}
	var out *Rotated
	for _, k := range old {
		steps, kept := r.retirement(k, stolen)
		if err := perform(steps); err != nil {
			return nil, fmt.Errorf("retiring a key (run it again to go on): %w", err)
		}
		out = r.done("retire", kept, r.afterRetire(stolen)...)
	}
	out.Note = notes
	return out, nil
}

// retirement lists the steps of retiring a key.
func (r *rotation) retirement(k ringKey, stolen bool) ([]step, ringKey) {
	kept := k
	kept.state, kept.at = KeyRetired, k.at
	if k.kind.list != statementKind { // it signed beside the other until now
		kept.at = stampOf(r.at)
	}
	if stolen {
		kept.state = KeyStolen
	}
	for kept.file = ringName(k.kind.name, kept.state, kept.at); r.taken(kept); kept.file = ringName(k.kind.name, kept.state, kept.at) {
		kept.at = kept.at.Add(time.Second)
	}
	text := kept.text
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return []step{
		func() error { return r.forgetRetired(k.text, kept.file) },
		func() error { return r.put(filepath.Join(r.n.dir, kept.file), []byte(text), 0o644) },
		func() error { return r.remove(k.file) },
	}, kept
}

// taken reports whether another key has the file.
func (r *rotation) taken(k ringKey) bool {
	there := k
	return there.read(r.n.dir, r.n.cfg.origin) == nil && there.text != k.text
}

// forgetRetired removes the public parts that an interrupted retirement of the
// same key has left under another name.
func (r *rotation) forgetRetired(text, but string) error {
	names, err := ringNames(filepath.Join(r.n.dir, retiredDir))
	if err != nil {
		return err
	}
	return r.removeCopies(retiredDir, names, text, but)
}

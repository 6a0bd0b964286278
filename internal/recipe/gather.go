package recipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
)

// Keeper is where what goes in is kept; *content.Store is one.
type Keeper interface {
	Stat(d digest.Digest) (content.Info, error)
	Put(ctx context.Context, class content.Class, r io.Reader, max int64) (content.Info, error)
}

// Gatherer fetches what goes into a build.
type Gatherer struct {
	Store      Keeper
	Registries Registries
	Client     *http.Client
	// Partial is a directory for what is not there as a whole yet; an interrupted
	// run continues there.
	Partial string
	// Local are files of this machine, tried before any registry: those that a
	// recipe calls private, and what was fetched otherwise. Only those are taken
	// whose digest the recipe names.
	Local []string
	// Progress, where not nil, is told how many bytes are there.
	Progress func(stage string, done, total int64)
}

// StageGather is the stage that Gatherer.Progress is told.
const StageGather = "recipe-fetch"

// parallel is how many inputs are fetched at a time.
const parallel = 4

// Gathered says what a Gatherer did.
type Gathered struct {
	Inputs  int   `json:"inputs"`  // that the recipe has, without the source
	Bytes   int64 `json:"bytes"`   // of them
	Fetched int   `json:"fetched"` // of them now; the others were there
}

// ErrUnavailable is the error of an input that cannot be had.
var ErrUnavailable = errors.New("cannot be had")

// Gather fetches every input of r that is not in the store. Nothing is kept
// that has not the digest and the size that the recipe names. All that can be
// had is fetched before an error is returned; it names the first input that
// could not, with its line.
func (g *Gatherer) Gather(ctx context.Context, r *Recipe) (Gathered, error) {
	t := tally{g: g}
	var missing []int
	seen := map[digest.Digest]bool{}
	for i := range r.Inputs {
		in := &r.Inputs[i]
		if in.SHA256.IsZero() || seen[in.SHA256] {
			continue // the source of whatever release, or one thing in two places
		}
		seen[in.SHA256] = true
		t.Inputs++
		t.Bytes += in.Size
		have, err := g.Store.Stat(in.SHA256)
		switch {
		case err == nil && have.Size == in.Size:
			t.done += in.Size
		case err == nil:
			return t.Gathered, r.wrong(i, "size", fmt.Errorf("%d, and what has this digest has %d bytes: correct it", in.Size, have.Size))
		case errors.Is(err, content.ErrUnknown):
			missing = append(missing, i)
		default:
			return t.Gathered, err
		}
	}
	t.tell(0)
	err := t.all(ctx, r, missing)
	return t.Gathered, err
}

// wrong is an error about a key of an input.
func (r *Recipe) wrong(i int, key string, err error) error {
	return r.at.place(fmt.Sprintf("input.%d.%s", i, key), fmt.Errorf("%s: %w", r.Inputs[i].Name, err))
}

// tally counts.
type tally struct {
	Gathered
	g    *Gatherer
	mu   sync.Mutex
	done int64
}

func (t *tally) tell(more int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += more
	if t.g.Progress != nil {
		t.g.Progress(StageGather, t.done, t.Bytes)
	}
}

// all fetches what is missing, a few at a time.
func (t *tally) all(ctx context.Context, r *Recipe, missing []int) error {
	local, err := t.g.local(ctx, r, missing)
	if err != nil {
		return err
	}
	failed := make([]error, len(r.Inputs))
	var some errgroup.Group
	some.SetLimit(parallel)
	for _, i := range missing {
		some.Go(func() error {
			key, err := t.g.one(ctx, &r.Inputs[i], local[r.Inputs[i].SHA256], t.tell)
			if err != nil {
				failed[i] = r.wrong(i, key, err)
				return nil // the others go on
			}
			t.mu.Lock()
			t.Fetched++
			t.mu.Unlock()
			return nil
		})
	}
	_ = some.Wait() // returns nothing but nil
	return first(ctx, failed)
}

func first(ctx context.Context, failed []error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	more := 0
	for _, e := range failed {
		switch {
		case e == nil:
		case err == nil:
			err = e
		default:
			more++
		}
	}
	if more > 0 {
		return fmt.Errorf("%w; and %d more inputs", err, more)
	}
	return err
}

// local finds files of this machine that are inputs.
func (g *Gatherer) local(ctx context.Context, r *Recipe, missing []int) (map[digest.Digest]string, error) {
	sizes := map[int64]bool{}
	for _, i := range missing {
		sizes[r.Inputs[i].Size] = true
	}
	out := map[digest.Digest]string{}
	for _, path := range g.Local {
		fi, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("reading a local input: %w", err)
		}
		if !fi.Mode().IsRegular() || !sizes[fi.Size()] {
			continue
		}
		d, err := hashFile(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("reading a local input: %w", err)
		}
		out[d] = path
	}
	return out, nil
}

func hashFile(ctx context.Context, path string) (digest.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return digest.Digest{}, err
	}
	defer f.Close()
	d, _, err := digest.OfReader(during{ctx, f}, nil)
	return d, err
}

// during reads until ctx ends.
type during struct {
	ctx context.Context
	r   io.Reader
}

func (d during) Read(p []byte) (int, error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	return d.r.Read(p)
}

// one fetches one input and returns the key that an error is about.
func (g *Gatherer) one(ctx context.Context, in *Input, local string, tell func(int64)) (string, error) {
	class := content.Public
	if in.Private != "" || in.Source {
		class = content.Room
	}
	if local != "" {
		return "sha256", g.keep(ctx, in, class, local, tell)
	}
	switch {
	case in.Private != "":
		return "private", fmt.Errorf("%w: it is private (%s): get it from the vendor and name the file with --local", ErrUnavailable, in.Private)
	case in.Source:
		return "source", fmt.Errorf("%w: name the snapshot of the source with --local", ErrUnavailable)
	}
	key, err := g.download(ctx, in, tell)
	if err != nil {
		return key, err
	}
	path := g.partial(in)
	if err := g.keep(ctx, in, class, path, nil); err != nil {
		return "sha256", err
	}
	return "", os.Remove(path)
}

func (g *Gatherer) partial(in *Input) string {
	return filepath.Join(g.Partial, in.SHA256.String()+".part")
}

// keep puts a file into the store, unless it is something else by now.
func (g *Gatherer) keep(ctx context.Context, in *Input, class content.Class, path string, tell func(int64)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := g.Store.Put(ctx, class, &only{r: f, want: in.SHA256}, in.Size)
	if err != nil {
		return err
	}
	if got.Digest != in.SHA256 { // only has seen to that
		return errors.New("changed while it was read")
	}
	if tell != nil {
		tell(in.Size)
	}
	return nil
}

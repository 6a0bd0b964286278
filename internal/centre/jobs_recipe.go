package centre

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/snapshot"
	"vitrine.example/statement"
)

// gatherPatience is how long the inputs of one recipe are fetched at a time.
const gatherPatience = 30 * time.Minute

// partialDir has inputs that are not there as a whole yet.
var partialDir = filepath.Join(runDir, "inputs")

// recipeOf reads the recipe of a release: the one that it names, else the one of
// its source. It is then in the content store.
func (j *jobs) recipeOf(ctx context.Context, r *statement.Release) ([]byte, error) {
	switch {
	case r.Recipe != nil:
		b, _, err := j.n.content.ReadAll(ctx, r.Recipe.SHA256, recipe.MaxSize)
		if errors.Is(err, content.ErrUnknown) {
			err = fmt.Errorf("the recipe %s: %w", r.Recipe.SHA256, errMissing)
		} else if errors.Is(err, content.ErrTooLarge) {
			err = refuse("the recipe has %d bytes, at most %d are allowed", r.Recipe.Size, recipe.MaxSize)
		}
		return b, err
	case r.Source == nil:
		return nil, refuse("the release names neither a recipe nor a source")
	}
	f, _, err := j.n.content.Open(ctx, r.Source.SHA256)
	if errors.Is(err, content.ErrUnknown) {
		return nil, sourceMissing(r.Source)
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := findRecipe(f)
	if err != nil {
		return nil, err
	}
	// Who reads what was built by it reads it by its digest, where they may have
	// the source.
	_, err = j.n.content.Put(ctx, content.Class(r.Source.Access), bytes.NewReader(b), recipe.MaxSize)
	if errors.Is(err, content.ErrConflict) {
		err = nil // it is here
	}
	return b, err
}

// findRecipe reads vitrine.recipe.toml at the top of a snapshot, or in the one
// directory that an archive has at its top.
func findRecipe(r io.Reader) ([]byte, error) {
	in := bufio.NewReader(r)
	r = in
	if head, err := in.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, refuse("the source: %w", err)
		}
		r = io.LimitReader(z, snapshot.MaxTar)
	}
	var below []byte
	places := 0
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if errors.Is(err, content.ErrCorrupt) || errors.Is(err, context.Canceled) {
			return nil, err
		} else if err != nil {
			return nil, refuse("the source: %w", err)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "./"))
		if h.Typeflag != tar.TypeReg || path.Base(name) != recipe.FileName || strings.Count(name, "/") > 1 {
			continue
		}
		if h.Size > recipe.MaxSize {
			return nil, refuse("%s in the source has %d bytes, at most %d are allowed", name, h.Size, recipe.MaxSize)
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		if name == recipe.FileName {
			return b, nil
		}
		below, places = b, places+1
	}
	switch places {
	case 0:
		return nil, refuse("there is no %s at the top of the source, and the release names no recipe", recipe.FileName)
	case 1:
		return below, nil
	}
	return nil, refuse("there are %d %s in the source, and none at its top", places, recipe.FileName)
}

// gather fetches the inputs of a recipe that are not here.
func (j *jobs) gather(ctx context.Context, r *recipe.Recipe) error {
	j.gathering.Lock()
	defer j.gathering.Unlock()
	ctx, cancel := context.WithTimeout(ctx, gatherPatience)
	defer cancel()
	j.askFor(ctx, r)
	client := newOutsideClient(j.n.cfg.hosts, j.registries)
	defer client.CloseIdleConnections()
	g := recipe.Gatherer{
		Store: j.n.content, Registries: j.registries, Client: client, Partial: filepath.Join(j.n.dir, partialDir),
	}
	got, err := g.Gather(ctx, r)
	if got.Fetched > 0 {
		j.n.log.Info("fetched inputs of a rebuild", "recipe", r.Digest(), "inputs", got.Fetched)
	}
	return err
}

// askFor asks this machine once for each registry that a recipe needs.
func (j *jobs) askFor(ctx context.Context, r *recipe.Recipe) {
	if j.registries == nil {
		j.registries = recipe.Registries{}
	}
	for _, in := range r.Inputs {
		for _, from := range in.From {
			p, err := recipe.ParsePlace(from)
			if _, known := j.registries[p.Registry]; err == nil && !known {
				j.registries[p.Registry] = recipe.Configured(ctx, os.Getenv, p.Registry)[p.Registry]
			}
		}
	}
}

// fetch tries to get what an order lacks, when a worker asks for it.
func (j *jobs) fetch(ctx context.Context, d digest.Digest, _ int64) error {
	rec, err := j.recipeNaming(ctx, d)
	if err != nil || rec == nil {
		return err
	}
	return j.gather(ctx, rec)
}

// recipeNaming finds an order that is being built whose recipe names an input.
func (j *jobs) recipeNaming(ctx context.Context, d digest.Digest) (*recipe.Recipe, error) {
	for before := int64(0); ; {
		rows, err := j.n.Queue().List(ctx, before, nil, farm.MaxRows)
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		for _, row := range rows {
			if before = row.ID; row.State != farm.Leased {
				continue
			}
			out, err := j.n.Queue().Outcome(ctx, row.ID)
			if err != nil {
				return nil, err
			}
			rec, err := j.recipe(ctx, out.Order.Recipe)
			if err != nil {
				continue // of another node's
			}
			for _, in := range rec.Inputs {
				if in.SHA256 == d {
					return rec, nil
				}
			}
		}
	}
}

// recipe reads a recipe by its digest.
func (j *jobs) recipe(ctx context.Context, d digest.Digest) (*recipe.Recipe, error) {
	b, _, err := j.n.content.ReadAll(ctx, d, recipe.MaxSize)
	if err != nil {
		return nil, err
	}
	return recipe.Parse(b)
}

package release

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"vitrine.example/internal/content"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/snapshot"
	"vitrine.example/statement"
)

// readRecipe reads the recipe that stands beside the source; nil where there is
// none. One that nobody can build by, or that makes what is not shipped, is
// refused: it would stand in the log for good.
func (p *Publisher) readRecipe(path string, shipped artifacts) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := snapshot.OpenFile(path)
	if err != nil {
		return nil, fmt.Errorf("recipe: %w", err)
	}
	defer f.Close()
	n := f.Identity().Size
	if n == 0 || n > recipe.MaxSize {
		return nil, fmt.Errorf("recipe: %q has %d bytes, want 1 to %d", path, n, recipe.MaxSize)
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("recipe: %w", err)
	}
	if err := f.Unchanged(); err != nil {
		return nil, fmt.Errorf("recipe: %w", err)
	}
	rec, err := recipe.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	return b, p.covers(rec, shipped)
}

// covers compares what a recipe makes with what is shipped.
func (p *Publisher) covers(rec *recipe.Recipe, shipped artifacts) error {
	made := map[string]bool{}
	for _, o := range rec.Outputs {
		made[o.Artifact] = true
		if !slices.ContainsFunc(shipped, func(a *artifact) bool { return a.name == o.Artifact }) {
			return fmt.Errorf("recipe: it makes %q, and that is no artifact of the release: name the artifact as it is shipped", o.Artifact)
		}
	}
	for _, a := range shipped {
		if !made[a.name] {
			p.log().Warn("the recipe does not make this artifact: whoever builds it again will say that it is different", "artifact", a.name)
		}
	}
	return nil
}

// storeRecipe stores the recipe for anyone to read: it says nothing that the
// source hides, and without it nobody could build.
func (p *Publisher) storeRecipe(ctx context.Context, b []byte) (*statement.Evidence, error) {
	if b == nil {
		return nil, nil
	}
	info, err := p.Content.Put(ctx, content.Public, bytes.NewReader(b), recipe.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("recipe: %w", explainClass(err, content.Public))
	}
	return &statement.Evidence{MediaType: RecipeType, Size: info.Size, SHA256: info.Digest}, nil
}

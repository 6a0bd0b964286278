package release

import (
	"bytes"
	"context"
	"fmt"

	"vitrine.example/internal/content"
	"vitrine.example/internal/snapshot"
	"vitrine.example/statement"
)

// readRecipe reads the recipe that stands beside the source; nil where there is
// none. What it says is checked by whoever builds by it.
func readRecipe(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := snapshot.OpenFile(path)
	if err != nil {
		return nil, fmt.Errorf("recipe: %w", err)
	}
	defer f.Close()
	n := f.Identity().Size
	if n == 0 || n > MaxRecipe {
		return nil, fmt.Errorf("recipe: %q has %d bytes, want 1 to %d", path, n, MaxRecipe)
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("recipe: %w", err)
	}
	if err := f.Unchanged(); err != nil {
		return nil, fmt.Errorf("recipe: %w", err)
	}
	return b, nil
}

// storeRecipe stores the recipe for anyone to read: it says nothing that the
// source hides, and without it nobody could build.
func (p *Publisher) storeRecipe(ctx context.Context, b []byte) (*statement.Evidence, error) {
	if b == nil {
		return nil, nil
	}
	info, err := p.Content.Put(ctx, content.Public, bytes.NewReader(b), MaxRecipe)
	if err != nil {
		return nil, fmt.Errorf("recipe: %w", explainClass(err, content.Public))
	}
	return &statement.Evidence{MediaType: RecipeType, Size: info.Size, SHA256: info.Digest}, nil
}

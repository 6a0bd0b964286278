package binary

import (
	"context"
	"fmt"
)

// Compare compares a, which was shipped, with b, which was rebuilt. It fails
// with [ErrFormat] if one of the two cannot be read as an executable; the two
// may still be equal or differ then, but not as executables.
func Compare(ctx context.Context, a, b File, o Options) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	return Result{}, fmt.Errorf("comparing %s with %s: %w", a.Name, b.Name, ErrFormat)
}

package centre

import (
	"errors"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/recipe"
)

// A recipe gets no more than the node gives, whatever it asks for.
func TestRecipesThatAskForTooMuch(t *testing.T) {
	c := defaults()
	c.rebuildTime = 6 * time.Hour
	source := recipe.Content{Size: 1 << 20}
	for name, tt := range map[string]struct {
		ask  func(r *recipe.Recipe)
		says string
	}{
		"as it is":         {func(*recipe.Recipe) {}, ""},
		"memory":           {func(r *recipe.Recipe) { r.Limits.Memory = 9 << 30 }, "rebuild-memory-bytes"},
		"work":             {func(r *recipe.Recipe) { r.Limits.Disk = 64 << 30 }, "rebuild-disk-bytes"},
		"root":             {func(r *recipe.Recipe) { r.Limits.Root = 64 << 30 }, "rebuild-disk-bytes"},
		"inputs together":  {func(r *recipe.Recipe) { r.Inputs = []recipe.Input{{Size: 8 << 30}, {Size: 8 << 30}} }, "rebuild-disk-bytes"},
		"time":             {func(r *recipe.Recipe) { r.Limits.Time = recipe.Duration(7 * time.Hour) }, "rebuild-time"},
		"as much as it is": {func(r *recipe.Recipe) { r.Limits.Memory, r.Limits.Time = 8<<30, recipe.Duration(6*time.Hour) }, ""},
	} {
		r := &recipe.Recipe{Limits: recipe.DefaultLimits()}
		tt.ask(r)
		err := c.afford(r, source)
		if tt.says == "" {
			check(t, err)
		} else if _, ok := errors.AsType[refusal](err); !ok || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

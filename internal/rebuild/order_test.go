package rebuild_test

import (
	"errors"
	"testing"

	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
)

// A recipe that is given what it is to make makes nothing.
func TestShippedFilesAreNoInputs(t *testing.T) {
	app := shipped("app", []byte("the program"))
	for name, tt := range map[string]struct {
		put func(j *recipe.Job)
		ok  bool
	}{
		"not given":      {func(*recipe.Job) {}, true},
		"as a file":      {func(j *recipe.Job) { j.Inputs = []recipe.Placed{{SHA256: app.SHA256, Size: app.Size, At: "/a"}} }, false},
		"as a layer":     {func(j *recipe.Job) { j.Root[0].SHA256 = app.SHA256 }, false},
		"not even a job": {nil, true},
	} {
		o := rebuild.Order{Shipped: []rebuild.Shipped{shipped("other", []byte("x")), app}}
		if tt.put != nil {
			o.Task.Job = exampleJob()
			tt.put(o.Task.Job)
		}
		if err := o.Check(); (err == nil) != tt.ok || err != nil && !errors.Is(err, rebuild.ErrCopied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package centre

import (
	"fmt"
	"time"

	"vitrine.example/internal/recipe"
)

// Bounds of rebuild-time.
const (
	minRebuildTime = time.Minute
	maxRebuildTime = 48 * time.Hour // as much as a recipe may ask for
)

func parseRebuildTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < minRebuildTime || d > maxRebuildTime {
		return 0, fmt.Errorf("%.40q: want a time from %s to %s, such as 6h", s, minRebuildTime, maxRebuildTime)
	}
	return d, nil
}

// afford refuses a recipe that asks for more than a build gets here: whoever
// writes a recipe is a stranger, and names his own limits in it.
func (c *Config) afford(r *recipe.Recipe, source recipe.Content) error {
	l := &r.Limits
	disk := int64(l.Root) + int64(l.Disk) + int64(l.Output) + source.Size
	for i := range r.Inputs { // at most recipe.MaxInputs of recipe.MaxInput bytes: no overflow
		if !r.Inputs[i].Source {
			disk += r.Inputs[i].Size
		}
	}
	for _, x := range []struct {
		what       string
		want, most int64
		key        string
	}{
		{"bytes of memory", int64(l.Memory), c.RebuildMemoryBytes, "rebuild-memory-bytes"},
		{"bytes for its inputs, root, work and outputs", disk, c.RebuildDiskBytes, "rebuild-disk-bytes"},
		{"seconds", int64(time.Duration(l.Time) / time.Second), int64(c.rebuildTime / time.Second), "rebuild-time"},
	} {
		if x.want > x.most {
			return refuse("the recipe asks for %d %s, and a build gets at most %d here (%s)", x.want, x.what, x.most, x.key)
		}
	}
	return nil
}

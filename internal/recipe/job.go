package recipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
)

// JobKind is the kind of job that this package makes. Under one kind the same
// description always means the same build.
const JobKind = "vitrine/job/v1"

// MaxJob bounds the JSON of a job.
const MaxJob = 16 << 20

// Job is all that decides what a build makes. Its canonical JSON is its
// identity; see [Job.Digest].
type Job struct {
	Kind     string    `json:"kind"`
	Clock    time.Time `json:"clock"`
	Hostname string    `json:"hostname"`
	UID      int       `json:"uid"`
	GID      int       `json:"gid"`
	CPUs     int       `json:"cpus"`
	Env      []string  `json:"env"` // sorted
	Shell    string    `json:"shell,omitzero"`
	Root     []Layer   `json:"root"`   // from the bottom up
	Inputs   []Placed  `json:"inputs"` // single files, above the layers
	Files    []File    `json:"files"`  // between the layers and the inputs
	Steps    []Step    `json:"steps"`
	Outputs  []string  `json:"outputs"` // paths; sorted
}

// Layer is an archive that is unpacked into the root file system.
type Layer struct {
	SHA256 digest.Digest `json:"sha256"`
	Size   int64         `json:"size"`
	Form   Form          `json:"form"`
	At     string        `json:"at"`
	Strip  int           `json:"strip,omitzero"`
}

// Placed is a single file from outside.
type Placed struct {
	SHA256     digest.Digest `json:"sha256"`
	Size       int64         `json:"size"`
	At         string        `json:"at"`
	Executable bool          `json:"executable,omitzero"`
}

// Content is some bytes by digest.
type Content struct {
	SHA256 digest.Digest `json:"sha256"`
	Size   int64         `json:"size"`
}

// errNoSource is the error of a recipe that needs the source and got none.
var errNoSource = errors.New("the recipe builds the release's own source, and none was given")

// Job makes the job. source is the snapshot of the release's source, zero where
// there is none.
func (r *Recipe) Job(source Content) (*Job, error) {
	j := &Job{
		Kind: JobKind, Clock: r.Clock, Hostname: r.Hostname, UID: r.UID, GID: r.GID, CPUs: r.CPUs,
		Env: slices.Sorted(slices.Values(r.Env)), Root: []Layer{}, Inputs: []Placed{}, Files: slices.Clone(r.Files),
		Steps: slices.Clone(r.Steps),
	}
	if j.Files == nil {
		j.Files = []File{}
	}
	if len(r.Steps) > 1 {
		j.Shell = r.Shell
	}
	for _, in := range r.Inputs {
		c, err := in.content(source)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
		if in.Unpack == AsIs {
			j.Inputs = append(j.Inputs, Placed{SHA256: c.SHA256, Size: c.Size, At: in.At, Executable: in.Executable})
		} else {
			j.Root = append(j.Root, Layer{SHA256: c.SHA256, Size: c.Size, Form: in.Unpack, At: in.At, Strip: in.Strip})
		}
	}
	for _, o := range r.Outputs {
		j.Outputs = append(j.Outputs, o.Path)
	}
	slices.Sort(j.Outputs)
	j.Outputs = slices.Compact(j.Outputs)
	return j, nil
}

// content is what the input is, once the source is known.
func (in *Input) content(source Content) (Content, error) {
	have := Content{in.SHA256, in.Size}
	switch {
	case !in.Source:
		return have, nil
	case source.SHA256.IsZero() && have.SHA256.IsZero():
		return Content{}, errNoSource
	case have.SHA256.IsZero():
		return source, nil
	case !source.SHA256.IsZero() && source != have:
		return Content{}, fmt.Errorf("the recipe is for the source %s, and the release has %s: the recipe is of another version", have.SHA256, source.SHA256)
	}
	return have, nil
}

// Encode returns the job in canonical JSON (RFC 8785).
func (j *Job) Encode() ([]byte, error) {
	b, err := strictjson.Canonical(j)
	if err != nil {
		return nil, fmt.Errorf("encoding a job: %w", err)
	}
	if len(b) > MaxJob {
		return nil, fmt.Errorf("encoding a job: %d bytes, at most %d are allowed", len(b), MaxJob)
	}
	return b, nil
}

// Digest is the SHA-256 of the canonical JSON.
func (j *Job) Digest() (digest.Digest, error) {
	b, err := j.Encode()
	if err != nil {
		return digest.Digest{}, err
	}
	return digest.Of(b), nil
}

// ParseJob reads a job, which must be in canonical form.
func ParseJob(b []byte) (*Job, error) {
	j := new(Job)
	if err := strictjson.UnmarshalCanonical(b, j, strictjson.Limits{Size: MaxJob}); err != nil {
		return nil, fmt.Errorf("reading a job: %w", err)
	}
	if err := j.check(); err != nil {
		return nil, fmt.Errorf("reading a job: %w", err)
	}
	// Encoding again what was understood shows every second way of saying it.
	want, err := j.Encode()
	if err != nil {
		return nil, err
	}
	if err := strictjson.Same(b, want); err != nil {
		return nil, fmt.Errorf("reading a job: %w", err)
	}
	return j, nil
}

// Needs lists what must be in the content store, each once.
func (j *Job) Needs() []Content {
	var out []Content
	seen := map[digest.Digest]bool{}
	add := func(c Content) {
		if !seen[c.SHA256] {
			seen[c.SHA256] = true
			out = append(out, c)
		}
	}
	for _, l := range j.Root {
		add(Content{l.SHA256, l.Size})
	}
	for _, in := range j.Inputs {
		add(Content{in.SHA256, in.Size})
	}
	return out
}

// Command is the one command that runs all steps, with its directory and its
// environment. A single step runs as it is; several run in a shell that ends at
// the first that fails (docs/spec/recipe.md, "Steps").
func (j *Job) Command() (argv, env []string, dir string) {
	if len(j.Steps) == 1 {
		s := j.Steps[0]
		return s.Run, over(j.Env, s.Env), s.Dir
	}
	return []string{j.Shell, "-e", "-c", j.script()}, j.Env, "/"
}

func (j *Job) script() string {
	var b strings.Builder
	for i, s := range j.Steps {
		fmt.Fprintf(&b, "echo 'vitrine: step %d of %d' >&2\n(\ncd %s\n", i+1, len(j.Steps), quote(s.Dir))
		for _, kv := range s.Env {
			k, v, _ := strings.Cut(kv, "=")
			fmt.Fprintf(&b, "export %s=%s\n", k, quote(v))
		}
		b.WriteString("exec")
		for _, w := range s.Run {
			b.WriteString(" " + quote(w))
		}
		b.WriteString("\n)\n")
	}
	return b.String()
}

// quote writes a word as a POSIX shell reads it back.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// over sets variables on top of others.
func over(env, more []string) []string {
	out := slices.Clone(env)
	for _, kv := range more {
		k, _, _ := strings.Cut(kv, "=")
		out = slices.DeleteFunc(out, func(have string) bool { return strings.HasPrefix(have, k+"=") })
		out = append(out, kv)
	}
	slices.Sort(out)
	return out
}

// Private are the digests of inputs that the vendor alone has.
func (r *Recipe) Private() []digest.Digest {
	var out []digest.Digest
	for _, in := range r.Inputs {
		if in.Private != "" {
			out = append(out, in.SHA256)
		}
	}
	return out
}

// NeedsSource reports whether the recipe builds the release's own source and
// does not name its digest itself.
func (r *Recipe) NeedsSource() bool {
	return slices.ContainsFunc(r.Inputs, func(in Input) bool { return in.Source && in.SHA256.IsZero() })
}

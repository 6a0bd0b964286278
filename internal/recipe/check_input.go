package recipe

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

var forms = []Form{AsIs, Tar, Zip, Deb, GoToolchain}

// maxStrip bounds Input.Strip.
const maxStrip = 16

func (r *Recipe) checkInputs() (string, error) {
	if len(r.Inputs) > MaxInputs {
		return "input", fmt.Errorf("%d of them, at most %d are allowed", len(r.Inputs), MaxInputs)
	}
	names, source := map[string]bool{}, false
	for i := range r.Inputs {
		in := &r.Inputs[i]
		key := fmt.Sprintf("input.%d.", i)
		if word, err := in.check(); err != nil {
			return key + word, err
		}
		if names[in.Name] {
			return key + "name", fmt.Errorf("%.80q is the name of another input: choose another", in.Name)
		}
		if in.Source && source {
			return key + "source", errors.New("there is one source, and another input is it")
		}
		names[in.Name], source = true, source || in.Source
	}
	return "", nil
}

func (in *Input) check() (string, error) {
	if key, err := in.checkOrigin(); err != nil {
		return key, err
	}
	switch {
	case in.Name == "" || len(in.Name) > 255 || !utf8.ValidString(in.Name) || slices.ContainsFunc([]rune(in.Name), isControl):
		return "name", fmt.Errorf("%.80q, want 1 to 255 printable characters", in.Name)
	case !absolute(in.At) && in.At != "/" || in.At == "/" && in.Unpack == AsIs:
		return "at", errPath(in.At)
	case !slices.Contains(forms, in.Unpack):
		return "unpack", fmt.Errorf("%.40q, want one of tar, zip, deb, go-toolchain, or nothing for a single file", in.Unpack)
	case in.Strip < 0 || in.Strip > maxStrip:
		return "strip", fmt.Errorf("%d, want 0 to %d", in.Strip, maxStrip)
	case in.Strip != 0 && (in.Unpack == AsIs || in.Unpack == GoToolchain):
		return "strip", errors.New("only what is unpacked by tar, zip or deb can be stripped: leave it out")
	case in.Executable && in.Unpack != AsIs:
		return "executable", errors.New("an archive says itself what is executable: leave it out")
	}
	return "", nil
}

// checkOrigin checks what the input is and where it comes from.
func (in *Input) checkOrigin() (string, error) {
	origins := 0
	for _, is := range []bool{len(in.From) > 0, in.Source, in.Private != ""} {
		if is {
			origins++
		}
	}
	switch {
	case origins == 0:
		return "from", errors.New("missing: say where it may be fetched, or source = true, or private = \"…\"")
	case origins > 1:
		return "from", errors.New("an input is either fetched (from), or the source, or private: leave the others out")
	case len(in.From) > MaxFrom:
		return "from", fmt.Errorf("%d places, at most %d are allowed", len(in.From), MaxFrom)
	case in.SHA256.IsZero() && !in.Source:
		return "sha256", errors.New("missing: nothing goes in without a digest; sha256sum FILE tells it")
	case in.SHA256.IsZero() != (in.Size == 0) && in.Source:
		return "size", errors.New("size and sha256 of the source come together, or not at all")
	case in.Size < 0 || in.Size > MaxInput:
		return "size", fmt.Errorf("%d, want 0 to %d bytes", in.Size, int64(MaxInput))
	case len(in.Private) > 1024 || !utf8.ValidString(in.Private):
		return "private", errors.New("want at most 1024 bytes that say what it is and who has it")
	}
	for _, from := range in.From {
		if _, err := ParsePlace(from); err != nil {
			return "from", err
		}
	}
	return "", nil
}

// check checks a job as a recipe is checked.
func (j *Job) check() error {
	if j.Kind != JobKind {
		return fmt.Errorf("kind: %.80q, want %q", j.Kind, JobKind)
	}
	m := machine{j.Clock, j.Hostname, j.UID, j.GID, j.CPUs, j.Env, j.Shell}
	if key, err := m.check(); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	switch {
	case !slices.IsSorted(j.Env):
		return errors.New("env: not sorted")
	case !slices.IsSorted(j.Outputs):
		return errors.New("outputs: not sorted")
	case len(j.Steps) > 1 && j.Shell == "":
		return errors.New("shell: missing, and there are several steps")
	case len(j.Steps) == 1 && j.Shell != "":
		return errors.New("shell: there is one step, which needs none")
	case len(j.Root)+len(j.Inputs) > MaxInputs || len(j.Files) > MaxFiles:
		return errors.New("root, inputs, files: too many")
	case len(j.Outputs) == 0 || len(j.Outputs) > MaxOutputs:
		return fmt.Errorf("outputs: %d of them, want 1 to %d", len(j.Outputs), MaxOutputs)
	}
	if err := j.checkParts(); err != nil {
		return err
	}
	if key, err := checkSteps(j.Steps); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if len(j.Steps) > 1 && len(j.script()) > MaxScript {
		return fmt.Errorf("steps: more than %d bytes", MaxScript)
	}
	if i, err := checkPaths(j.Outputs, false); err != nil {
		return fmt.Errorf("outputs.%d: %w", i, err)
	}
	return nil
}

func (j *Job) checkParts() error {
	for i, l := range j.Root {
		in := Input{Name: "x", Private: "x", SHA256: l.SHA256, Size: l.Size, At: l.At, Unpack: l.Form, Strip: l.Strip}
		if l.Form == AsIs {
			return fmt.Errorf("root.%d.form: missing", i)
		}
		if key, err := in.check(); err != nil {
			return fmt.Errorf("root.%d.%s: %w", i, key, err)
		}
	}
	for i, p := range j.Inputs {
		in := Input{Name: "x", Private: "x", SHA256: p.SHA256, Size: p.Size, At: p.At}
		if key, err := in.check(); err != nil {
			return fmt.Errorf("inputs.%d.%s: %w", i, key, err)
		}
	}
	for i := range j.Files {
		if key, err := j.Files[i].check(); err != nil {
			return fmt.Errorf("files.%d.%s: %w", i, key, err)
		}
	}
	return nil
}

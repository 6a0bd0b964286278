package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/proof"
	"vitrine.example/verdict"
)

// barFrom is the size from which people who wait for a hash see a bar.
const barFrom = 256 << 20

func newVerify(c *console) *cobra.Command {
	var policy, at string
	var bundles []string
	var more forkFiles
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "decide offline whether a file is what its vendor released",
		Long: `Decide whether FILE meets a policy, from its bundle alone. No network is used.

The bundle is FILE.vitrine and the policy $XDG_CONFIG_HOME/vitrine/policy.toml
(or ~/.config/vitrine/policy.toml), unless others are given.
Exits 0 where FILE is accepted, 1 where it is refused, 2 where nothing could be
decided.`,
		Example: `  vitrine verify app.tar.gz --policy vitrine-policy.toml
  vitrine verify app.tar.gz --policy vitrine-policy.toml --json`,
		Args: operands("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			now, err := moment(at)
			if err != nil {
				return usage(cmd, err)
			}
			if len(bundles) == 0 {
				bundles = []string{args[0] + ".vitrine"}
			}
			return c.verify(args[0], bundles, policy, now, more)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&bundles, "bundle", nil, "bundle `file`; default: FILE.vitrine; again to compare with others")
	f.StringArrayVar(&more.read, "fork", nil, "fork evidence `file` to take into account")
	f.StringVar(&more.write, "evidence", "", "`file` to write fork evidence to, where some is found")
	f.StringVar(&policy, "policy", "", "policy `file`; default: see above")
	f.StringVar(&at, "at", "", "decide as of this `time` (RFC 3339); default: now")
	c.jsonFlag(cmd)
	return cmd
}

// moment reads --at.
func moment(at string) (time.Time, error) {
	if at == "" {
		return time.Now(), nil
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return t, fmt.Errorf("--at %q: want a time like 2026-01-31T12:00:00Z", at)
	}
	return t, nil
}

func (c *console) verify(file string, bundles []string, policy string, now time.Time, more forkFiles) error {
	// What is small and often wrong comes first: nobody waits for the hash of
	// a large file to learn that there is no policy.
	found := policy == ""
	if found {
		var err error
		if policy, err = findPolicy(); err != nil {
			return err
		}
	}
	p, err := readPolicy(policy)
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("reading file: %w", err) // not that its bundle is missing
	}
	in := verdict.Input{File: file, Now: now}
	if err := more.into(&in, bundles); err != nil {
		return err
	}
	d, n, err := c.hashFile(file)
	if err != nil {
		return err
	}
	if found {
		c.say("decided by %s", oneLine(policy))
	}
	in.Size, in.Digest = n, d
	v, err := c.judgeAll(p, in, more)
	if err != nil {
		return err
	}
	if err := c.showVerdict(v); err != nil {
		return err
	}
	if !v.Accepted {
		return refusal(v)
	}
	return nil
}

// showVerdict prints a verdict; its JSON is the one of docs/spec/verdict.md.
func (c *console) showVerdict(v *verdict.Verdict) error {
	text := []byte(v.String())
	if c.json {
		var err error
		if text, err = v.JSON(); err != nil {
			return fmt.Errorf("writing the verdict: %w", err)
		}
	}
	if _, err := c.out.Write(text); err != nil {
		return fmt.Errorf("writing the verdict: %w", err)
	}
	return nil
}

// refusal is the error line of a verdict that refuses; the hint is the remedy
// of the first requirement that is not met.
func refusal(v *verdict.Verdict) error {
	unmet := v.Unmet()
	return no(fmt.Errorf("%s is refused: %d of %s not met", v.File, len(unmet),
		plural(int64(len(v.Requirements)), "requirement", "requirements")), "%s", unmet[0].Remedy)
}

// hashFile reads a file once, in constant memory.
func (c *console) hashFile(path string) (digest.Digest, int64, error) {
	f, err := openRegular("file", path)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	defer f.Close()
	var told func(int64)
	if st, err := f.Stat(); err == nil && st.Size() >= barFrom && c.terminal() {
		bar := c.progress()
		defer bar.end()
		told = func(n int64) { bar.at("hashing "+path, n, st.Size()) }
	}
	d, n, err := digest.OfReader(f, told)
	if err != nil {
		return d, n, fmt.Errorf("reading file: %w", err)
	}
	return d, n, nil
}

// readBundle reads a bundle file.
func readBundle(path string) (*proof.Bundle, error) {
	raw, err := readFile("bundle", path, proof.MaxSize)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, withHint(err, "get the bundle from where the file came from, and name it with --bundle")
		}
		return nil, err
	}
	b, err := proof.Parse(raw)
	if err != nil {
		return nil, withHint(fmt.Errorf("reading bundle %s: %w", path, err), "get the bundle again from where the file came from")
	}
	return b, nil
}

// readPolicy reads a policy file: the one named, else that of the user.
func readPolicy(path string) (*verdict.Policy, error) {
	if path == "" {
		found, err := findPolicy()
		if err != nil {
			return nil, err
		}
		path = found
	}
	raw, err := readFile("policy", path, verdict.MaxPolicy)
	if err != nil {
		return nil, err
	}
	p, err := verdict.ParsePolicy(raw)
	if err != nil {
		return nil, withHint(fmt.Errorf("reading policy %s: %w", path, err), "try it with: vitrine policy check %s", path)
	}
	return p, nil
}

// findPolicy returns the user's own policy. The working directory is not looked
// into: whoever packed it would choose what is asked of what it holds.
func findPolicy() (string, error) {
	const hint = "name one with --policy, or make one: vitrine policy init --node https://… -o %s"
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", withHint(fmt.Errorf("no policy: --policy is not given, and %w", err), hint, "policy.toml")
	}
	p := filepath.Join(dir, "vitrine", "policy.toml")
	switch _, err := os.Stat(p); {
	case errors.Is(err, fs.ErrNotExist):
		return "", withHint(fmt.Errorf("no policy: --policy is not given and there is no %s", p), hint, p)
	case err != nil:
		return "", fmt.Errorf("looking for a policy: %w", err)
	}
	return p, nil
}

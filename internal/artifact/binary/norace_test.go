//go:build !race

package binary_test

const raceDetector = false

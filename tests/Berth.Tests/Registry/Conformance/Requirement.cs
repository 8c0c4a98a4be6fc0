namespace Berth.Tests.Registry.Conformance;

/// <summary>A sentence of the distribution specification and the check that holds us to it.</summary>
/// <param name="Id">Short and lasting; names the check in the page and in test results.</param>
/// <param name="Section">The specification's heading.</param>
/// <param name="Sentence">In the specification's words, shortened.</param>
internal sealed record Requirement(string Id, string Section, string Sentence, Func<ConformanceRig, Task> Check);

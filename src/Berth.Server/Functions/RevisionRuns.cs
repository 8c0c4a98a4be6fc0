using System.Globalization;
using Berth.Core.Functions;
using Berth.Core.Runs;

namespace Berth.Server.Functions;

/// <summary>What a revision's calls are runs of.</summary>
internal static class RevisionRuns
{
    /// <summary>Where sandboxes are reused, the family is this revision's alone: of no other one, nor of one with the
    /// same number of a function that had the name before.</summary>
    public static RunSpec Of(string function, Revision revision)
    {
        RunSpec run = revision.Spec.Run;
        return run.Reuse is null
            ? run
            : run with
            {
                Family = string.Create(
                    CultureInfo.InvariantCulture, $"{function}@{revision.Number}-{revision.CreatedAt.UtcTicks:x}"),
            };
    }
}

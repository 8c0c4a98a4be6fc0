using System.Globalization;
using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Server.Functions;

namespace Berth.Server.FunctionEndpoints;

/// <summary>Which revision of a function gets a call.</summary>
internal static class RevisionChoice
{
    /// <summary><c>NAME</c>, <c>NAME@NUMBER</c> or <c>NAME@TAG</c>. Throws <c>NotFound</c>.</summary>
    public static (FunctionEntry Entry, Revision Revision) Choose(this FunctionManager functions, string text)
    {
        int at = text.IndexOf('@', StringComparison.Ordinal);
        FunctionEntry entry = functions.Get(at < 0 ? text : text[..at]);
        Function function = entry.Record;
        if (at < 0)
        {
            return (entry, function.Find(function.Traffic.Whole ?? function.Traffic.At(Point()))!);
        }

        string wanted = text[(at + 1)..];
        bool numbered = int.TryParse(wanted, NumberStyles.None, CultureInfo.InvariantCulture, out int number);
        if (!numbered && !function.Traffic.Tags.TryGetValue(wanted, out number))
        {
            string tags = function.Traffic.Tags.Count == 0 ? "none" : string.Join(", ", function.Traffic.Tags.Keys);
            throw new BerthException(
                ErrorCode.NotFound,
                $"Function '{function.Name}' has no tag '{(wanted.Length > FunctionName.MaxLength ? "…" : wanted)}'; "
                + $"its tags are: {tags}.");
        }

        return (entry, function.Find(number) ?? throw FunctionSteps.NoRevision(function, number));
    }

    private static double Point() => RandomNumberGenerator.GetInt32(int.MaxValue) / (double)int.MaxValue;
}

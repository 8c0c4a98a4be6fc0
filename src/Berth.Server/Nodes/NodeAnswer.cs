using Berth.Api.Errors;
using Berth.Api.Links;
using Berth.Core.Errors;

namespace Berth.Server.Nodes;

/// <summary>What a node answers first on a stream.</summary>
internal static class NodeAnswer
{
    /// <summary>Throws what the node refused it with; LinkException for what is no answer.</summary>
    public static Frame Require(Frame? answer, FrameKind expected)
    {
        Frame first = answer ?? throw new LinkException("The node ended a stream without a word.");
        if (first.Kind == FrameKind.Refused)
        {
            RefusalReport refusal = first.Read(LinkJson.Default.RefusalReport);
            throw new BerthException(ErrorCatalog.Find(refusal.Code).Error, refusal.Message)
            {
                RetryAfter = refusal.RetryAfterMs is { } pause ? TimeSpan.FromMilliseconds(pause) : null,
            };
        }

        return first.Kind == expected
            ? first
            : throw new LinkException($"The node answered with a frame {first.Kind} in place of {expected}.");
    }
}

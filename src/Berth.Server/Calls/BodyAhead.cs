using System.Buffers;
using System.IO.Pipelines;
using Berth.Api.Nodes;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Calls;

/// <summary>What has come of a request's body. It stays there to be read.</summary>
internal sealed class BodyAhead(PipeReader body) : IInputAhead
{
    public InputBlock? Peek(int most)
    {
        try
        {
            if (!body.TryRead(out ReadResult read))
            {
                return null;
            }

            ReadOnlySequence<byte> there = read.Buffer;
            byte[] bytes = there.Slice(0, Math.Min(there.Length, most)).ToArray();
            bool isWhole = read.IsCompleted && bytes.Length == there.Length;
            // Nothing was taken and nothing looked at: who reads next gets it at once.
            body.AdvanceTo(there.Start, there.Start);
            return read.IsCanceled ? null : new InputBlock(bytes, isWhole);
        }
        catch (Exception broken) when (broken is BadHttpRequestException or IOException or OperationCanceledException)
        {
            // Whoever reads it meets the same.
            return null;
        }
    }
}

using System.Buffers;
using System.Text;
using Berth.Core.Runs;
using Berth.Server.Logs;
using Berth.Server.Runs;

namespace Berth.Server.RunEndpoints;

/// <summary>The end of an ended run's standard error, for a problem document.</summary>
internal static class RunLogTail
{
    private const int MaxLines = 40;
    private const int MaxBytes = 4096;

    public static async Task<string> ReadAsync(IRunManager runs, RunId id, CancellationToken cancellationToken)
    {
        ArrayBufferWriter<byte> tail = new();
        LogQuery query = new(Follow: false, MaxLines, null);
        await foreach (LogLine line in runs.LogsAsync(id, query, cancellationToken))
        {
            tail.Write(line.Text.Span);
            if (!line.Partial)
            {
                tail.Write("\n"u8);
            }
        }

        return Encoding.UTF8.GetString(tail.WrittenSpan[^Math.Min(tail.WrittenCount, MaxBytes)..]);
    }
}

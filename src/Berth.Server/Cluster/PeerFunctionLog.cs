using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Text;
using Berth.Core.Runs;
using Berth.Server.Functions;
using Berth.Server.Logs;

namespace Berth.Server.Cluster;

/// <summary>A function's log between servers: as <see cref="PeerLogText"/>, with a line <c>run ID</c> before what
/// another run wrote than the one before, <c>lines NUMBER</c>, <c>busy</c> and <c>now</c> for
/// the marks. Not for concurrent use.</summary>
internal sealed class PeerFunctionLog
{
    private RunId last;

    private static ReadOnlySpan<byte> Run => "run "u8;

    private static ReadOnlySpan<byte> Lines => "lines "u8;

    private static ReadOnlySpan<byte> Busy => "busy"u8;

    private static ReadOnlySpan<byte> Now => "now"u8;

    public void Write(IBufferWriter<byte> writer, FunctionLogNews news)
    {
        switch (news.Mark)
        {
            case FunctionLogMark.Count:
                writer.Write(Encoding.ASCII.GetBytes(
                    string.Create(CultureInfo.InvariantCulture, $"lines {news.Count}\n")));
                return;
            case FunctionLogMark.Busy:
                writer.Write(Busy);
                writer.Write("\n"u8);
                return;
            case FunctionLogMark.Now:
                writer.Write(Now);
                writer.Write("\n"u8);
                return;
            case FunctionLogMark.Missing:
                // Each server tells its own part only, and nothing is missing in that.
                return;
            default:
                if (news.Line.Run != last)
                {
                    last = news.Line.Run;
                    writer.Write(Encoding.ASCII.GetBytes($"run {last.Text}\n"));
                }

                PeerLogText.Write(writer, news.Line.Line);
                return;
        }
    }

    /// <param name="broken">As for <see cref="PeerLogText.ReadAsync"/>.</param>
    public static async IAsyncEnumerable<FunctionLogNews> ReadAsync(
        PipeReader reader, Func<Exception, Exception> broken,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        long gap = 0;
        RunId run = default;
        await foreach (byte[] record in PeerLogText.RecordsAsync(reader, broken, cancellationToken))
        {
            if (record.AsSpan().StartsWith(Run))
            {
                _ = RunId.TryParse(Encoding.ASCII.GetString(record.AsSpan(Run.Length)), out run);
            }
            else if (record.AsSpan().StartsWith(Lines) && long.TryParse(
                record.AsSpan(Lines.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long lines))
            {
                yield return new FunctionLogNews(FunctionLogMark.Count, Count: lines);
            }
            else if (record.AsSpan().SequenceEqual(Busy))
            {
                yield return new FunctionLogNews(FunctionLogMark.Busy);
            }
            else if (record.AsSpan().SequenceEqual(Now))
            {
                yield return new FunctionLogNews(FunctionLogMark.Now);
            }
            else if (!run.IsEmpty && PeerLogText.TryRead(record, ref gap, out LogLine line))
            {
                yield return new FunctionLogNews(FunctionLogMark.Line, new FunctionLogLine(run, line));
            }
        }
    }
}

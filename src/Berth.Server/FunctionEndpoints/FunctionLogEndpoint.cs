using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using Berth.Core.Runs;
using Berth.Server.Cluster;
using Berth.Server.Functions;
using Berth.Server.Hosting;
using Berth.Server.Logs;
using Berth.Server.RunEndpoints;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.FunctionEndpoints;

/// <summary>Sends what a function's programs wrote as text, each line behind the id of its run.</summary>
internal sealed class FunctionLogEndpoint(FunctionLogs log, ServerLifetime lifetime, TimeProvider time)
{
    public async Task HandleAsync(HttpContext context)
    {
        string name = (string)context.Request.RouteValues["name"]!;
        QueryText query = new(context.Request, "follow", "tail", "since", "timestamps", "revision");
        LogQuery wanted = LogText.QueryOf(query, time);
        int number = query.Number("revision", 1, int.MaxValue, 0);
        int? revision = number == 0 ? null : number;
        // Before the answer begins.
        log.Check(name, revision);
        Lines lines = new(query.Switch("timestamps"));
        await new LogAnswer(context, lifetime).SendAsync(
            "text/plain; charset=utf-8", wanted.Follow, token => log.ReadAsync(name, revision, wanted, token),
            lines.Write);
    }

    /// <summary>Puts the id before each line, and joins the parts of long ones.</summary>
    private sealed class Lines(bool timestamps)
    {
        private RunId open;

        public void Write(PipeWriter writer, FunctionLogNews news)
        {
            if (news.Mark == FunctionLogMark.Missing)
            {
                writer.Write(Encoding.UTF8.GetBytes($"{(open.IsEmpty ? "" : "\n")}[berth: {news.Why}]\n"));
                open = default;
            }
            else if (news.Mark == FunctionLogMark.Line)
            {
                Write(writer, news.Line);
            }
        }

        private void Write(PipeWriter writer, FunctionLogLine line)
        {
            bool within = open == line.Run;
            if (!open.IsEmpty && !within)
            {
                writer.Write("\n"u8);
            }

            LogText.Write(writer, line.Line, within, timestamps, line.Run.Text + " ");
            open = line.Line.Partial ? line.Run : default;
        }
    }
}

using System.Globalization;
using Berth.Core.Functions;
using Berth.Core.Runs;

namespace Berth.Server.Lambda;

/// <summary>What AWS Lambda tells its programs by variables (Developer Guide, "Defined runtime environment variables"),
/// as far as it is true here.</summary>
internal static class LambdaEnvironment
{
    /// <summary>Clients of AWS demand one; Berth has none, so that nothing depends on it.</summary>
    private const string Region = "us-east-1";

    private const string Account = "000000000000";

    public static string RuntimeApi { get; } =
        string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{LambdaSpec.RuntimeApiPort}");

    /// <summary>The function's name as AWS writes it.</summary>
    public static string ArnOf(string function) => $"arn:aws:lambda:{Region}:{Account}:function:{function}";

    /// <summary>Puts in what the revision does not set, and then what it can't.</summary>
    public static void Add(Dictionary<string, string> to, string function, int revision, RunSpec run, LambdaSpec lambda)
    {
        to.TryAdd("AWS_REGION", Region);
        to.TryAdd("AWS_DEFAULT_REGION", to["AWS_REGION"]);
        to.TryAdd("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/" + function);
        to.TryAdd("AWS_LAMBDA_LOG_STREAM_NAME", string.Create(CultureInfo.InvariantCulture, $"[{revision}]"));
        to.TryAdd("AWS_LAMBDA_LOG_FORMAT", "Text");
        to.TryAdd("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
        to.TryAdd("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
        to.TryAdd("TZ", ":UTC");
        if (lambda.TaskRoot is { } root)
        {
            to.TryAdd("LAMBDA_TASK_ROOT", root);
        }

        to["_HANDLER"] = lambda.Handler;
        to["AWS_LAMBDA_FUNCTION_NAME"] = function;
        to["AWS_LAMBDA_FUNCTION_VERSION"] = revision.ToString(CultureInfo.InvariantCulture);
        to["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] =
            (run.Limits.Memory.Bytes / (1024 * 1024)).ToString(CultureInfo.InvariantCulture);
        to["AWS_LAMBDA_RUNTIME_API"] = RuntimeApi;
    }
}

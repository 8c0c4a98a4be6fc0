using Berth.Core.Scaling;

namespace Berth.Core.Functions;

/// <summary>How instances of the image's program take many calls each: with the http contract they listen on a port,
/// with the lambda contract they ask for their calls.</summary>
/// <param name="Port">Of the instance's own loopback; told to the program as PORT.</param>
/// <param name="ProbePath">Answers 200 to 399 to GET when the instance can take calls; null where it is enough that
/// the port takes connections.</param>
/// <param name="Concurrency">Calls that one instance gets at once.</param>
/// <param name="StartLimit">From its order until an instance must be ready.</param>
/// <param name="Lambda">Null with the http contract. Otherwise <paramref name="Port"/> is where its calls are asked
/// for.</param>
public sealed record ServiceSpec(
    int Port, string? ProbePath, int Concurrency, ScaleSpec Scale, TimeSpan StartLimit, LambdaSpec? Lambda = null)
{
    public const int DefaultPort = 8080;

    /// <summary>As with services that run containers by request elsewhere.</summary>
    public const int DefaultConcurrency = 80;

    public static TimeSpan DefaultStartLimit { get; } = TimeSpan.FromMinutes(1);
}

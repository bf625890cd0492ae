// Serializes the collections in which Spark's clients may send strings: "KIND-SIZE NAME HEX" a line, of which collections-*.txt are made.
// java -cp "$SPARK_HOME/jars/*" scala.tools.nsc.MainGenericRunner -usejavacp -nc Collections.scala, with Spark 3.5 (Scala 2.12) and 4.x
import java.io._
import scala.collection.JavaConverters._
import scala.collection.{immutable, mutable}

object Collections {
  def put(name: String, value: AnyRef): Unit = {
    val bytes = new ByteArrayOutputStream
    try {
      val out = new ObjectOutputStream(bytes)
      out.writeObject(value)
      out.close()
      println(name + " " + bytes.toByteArray.map("%02x".format(_)).mkString)
    } catch { case e: NotSerializableException => println("# " + name + " " + e) }
  }

  def main(args: Array[String]): Unit = {
    def pairs(n: Int) = (1 to n).map(i => (s"k$i", s"v$i"))
    def java[M <: _root_.java.util.Map[String, String]](map: M, n: Int): M = {
      pairs(n).foreach { case (k, v) => map.put(k, v) }
      map
    }
    for (n <- 0 to 6) put(s"map-$n Map$n", Map(pairs(n): _*))
    put("map-6 WithDefault", Map(pairs(6): _*).withDefault(key => key))
    put("map-2 WithDefault2", Map(pairs(2): _*).withDefaultValue("x"))
    put("map-3 SysEnvLike", new _root_.java.util.HashMap[String, String](java(new _root_.java.util.HashMap[String, String], 3)).asScala.toMap)
    put("map-40 HashMap", immutable.HashMap(pairs(40): _*))
    put("map-6 TreeMap", immutable.TreeMap(pairs(6): _*))
    put("map-6 ListMap", immutable.ListMap(pairs(6): _*))
    put("map-6 MutableHashMap", mutable.HashMap(pairs(6): _*))
    put("map-6 MutableMap", mutable.Map(pairs(6): _*))
    put("map-6 MutableLinkedHashMap", mutable.LinkedHashMap(pairs(6): _*))
    put("map-6 MutableTreeMap", mutable.TreeMap(pairs(6): _*))
    put("map-6 JMapWrapper", java(new _root_.java.util.HashMap[String, String], 6).asScala)
    put("map-6 JMapWrapperTree", java(new _root_.java.util.TreeMap[String, String], 6).asScala)
    put("map-6 JPropertiesWrapper", { val p = new _root_.java.util.Properties; pairs(6).foreach { case (k, v) => p.setProperty(k, v) }; p.asScala })
    put("map-6 Unmodifiable", _root_.java.util.Collections.unmodifiableMap[String, String](java(new _root_.java.util.LinkedHashMap[String, String], 6)).asScala)
    put("map-6 Concurrent", java(new _root_.java.util.concurrent.ConcurrentHashMap[String, String], 6).asScala)
    put("map-6 MapView", Map(pairs(6): _*).filter(_ => true))
    put("map-6 MapValues", Map(pairs(6): _*).mapValues(x => x).toMap)
    def items(n: Int) = (1 to n).map(i => s"s$i")
    val list = new _root_.java.util.ArrayList[String]
    items(3).foreach(list.add)
    for (n <- Seq(0, 1, 3)) {
      put(s"seq-$n List", items(n).toList)
      put(s"seq-$n Seq", Seq(items(n): _*))
      put(s"seq-$n Vector", items(n).toVector)
      put(s"seq-$n Array", items(n).toArray[String])
      put(s"seq-$n WrappedArray", (items(n).toArray[String]: scala.collection.Seq[String]))
      put(s"seq-$n ArrayBuffer", mutable.ArrayBuffer(items(n): _*))
      put(s"seq-$n ListBuffer", mutable.ListBuffer(items(n): _*))
      put(s"seq-$n Queue", immutable.Queue(items(n): _*))
      put(s"seq-$n ToSeq", items(n).toArray[String].toSeq)
      put(s"seq-$n Stream", items(n).toStream)
    }
    put("seq-40 Vector40", items(40).toVector)
    put("seq-3 JListWrapper", list.asScala)
    put("seq-3 ArraysAsList", _root_.java.util.Arrays.asList(items(3).toArray[String]: _*).asScala)
    put("seq-3 ListToSeq", list.asScala.toSeq)
    put("seq-3 Linked", new _root_.java.util.LinkedList[String](list).asScala)
    put("seq-3 Unmodifiable", _root_.java.util.Collections.unmodifiableList[String](list).asScala)
    put("seq-3 Mapped", items(3).map(x => x))
  }
}
